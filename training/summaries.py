"""What TensorBoard shows of a run."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras
import numpy as np

from flpn_tf.codec import HeatmapCodec
from flpn_tf.data.contact_sheet import contact_sheet, with_heat, with_joints
from flpn_tf.errors import InputError
from flpn_tf.geometry import warp
from flpn_tf.runtime.files import encode_picture
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD
from flpn_tf.skeleton import Skeleton
from flpn_tf.training.checkpoint import steps_done
from flpn_tf.training.snapshot import Snapshot

FOLDER = "tensorboard"

_ROWS = 4  # rows of a sheet
_HEIGHT = 256  # pixels that a crop is shown at, or more
_LEGEND = f"orange: the person's left, blue: right, green: neither; found: score above {KEYPOINT_THRESHOLD}"


class Summaries(keras.callbacks.Callback):
    """Writes event files: numbers each epoch, pictures each `every` epochs; x is the optimiser's step.

    Numbers: all in the epoch's `logs` (so it stands behind `Validation`), `learning_rate` (of the next step)
    and `images_per_second` (without the epoch's first step, which may compile). Pictures: `people`, one
    sheet, each row a person: the joints to learn, their heatmaps, the predicted heatmaps, the joints found in
    them. Predictions are of the moving average, where the optimiser has one.

    A run that goes on adds a file and keeps its steps. Without TensorFlow one line says so, and nothing is
    written.

    Args:
        output: folder; files go into `tensorboard` in it.
        batch_size: persons per step, of all devices.
        every: epochs between pictures; the last epoch always has one.
        batches: () → an iterable of (crops, heatmaps, weights) as of `training_dataset`, whose first (up to
            4) people are shown; None for no pictures.
        skeleton: of `batches`, by default the model's.
        epochs: of the whole run; by default those of `fit`.

    Raises:
        InputError: the folder cannot be written to.
    """

    def __init__(
        self,
        output: Path,
        batch_size: int,
        every: int = 1,
        batches: Callable[[], Iterable] | None = None,
        skeleton: Skeleton | None = None,
        epochs: int | None = None,
    ):
        super().__init__()
        self.folder = output / FOLDER
        self.batch_size = batch_size
        self.every = every
        self.batches = batches
        self.skeleton = skeleton
        self.epochs = epochs
        self._tf = self._writer = self._people = None

    def on_train_begin(self, logs=None):
        try:
            import tensorflow as tf
        except ImportError:
            print("no TensorBoard files: they need TensorFlow", file=sys.stderr, flush=True)
            return
        self._tf = tf
        with self._errors_named():
            self._writer = tf.summary.create_file_writer(str(self.folder))

    def on_epoch_begin(self, epoch, logs=None):
        self._times = []

    def on_train_batch_end(self, batch, logs=None):
        self._times.append(time.monotonic())

    def on_epoch_end(self, epoch, logs=None):
        if self._writer is None:
            return
        optimizer = self.model.optimizer
        step = steps_done(self.model)
        numbers = {**logs, "learning_rate": float(keras.ops.convert_to_numpy(optimizer.learning_rate))}
        if len(self._times) > 1:
            seconds = self._times[-1] - self._times[0]
            numbers["images_per_second"] = self.batch_size * (len(self._times) - 1) / seconds
        done, epochs = epoch + 1, self.epochs or self.params["epochs"]
        due = self.batches is not None and (done % self.every == 0 or done == epochs)
        sheet = self._sheet() if due else None
        with self._errors_named(), self._writer.as_default(step):
            for name, value in numbers.items():
                self._write(name, np.float32(value), "scalars", "DATA_CLASS_SCALAR")
            if sheet is not None:
                height, width = sheet.shape[:2]
                values = [str(width), str(height), encode_picture(sheet, ".png")]
                self._write("people", values, "images", "DATA_CLASS_BLOB_SEQUENCE")
            self._writer.flush()

    def on_train_end(self, logs=None):
        if self._writer is not None:
            with self._errors_named():
                self._writer.close()

    def _write(self, name, values, plugin, kind):
        """What `tf.summary.scalar` and `image` write; since TensorFlow 2.21 those need TensorBoard itself."""
        metadata = self._tf.compat.v1.SummaryMetadata(data_class=kind)
        metadata.plugin_data.plugin_name = plugin
        self._tf.summary.write(name, values, metadata=metadata)

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except self._tf.errors.OpError as error:
            reason = error.message.split("}}")[-1].split("[Op:")[0]
            raise InputError(
                f"{self.folder}: cannot be written ({' '.join(reason.split())[:200]})"
            ) from error

    def _sheet(self) -> np.ndarray:
        """uint8 RGB."""
        model = self.model
        if self._people is None:
            batch = next(iter(self.batches()))
            self._people = [np.asarray(part)[:_ROWS] for part in batch]
            self._snapshot = Snapshot(model, len(self._people[0]))
        self._snapshot.update(model)
        crops, heatmaps, weights = self._people
        return people_sheet(
            crops,
            (heatmaps, weights, self.skeleton or model.skeleton),
            (self._snapshot.predict(crops), model.skeleton),
            model.codec,
        )


def people_sheet(crops: np.ndarray, target, predicted, codec: HeatmapCodec) -> np.ndarray:
    """A row a person: joints to learn, their heatmaps, the predicted heatmaps, the joints found.

    Args:
        crops: (P, H, W, 3) uint8 RGB.
        target: heatmaps (P, h, w, K), weights (P, K), and the skeleton of the K joints.
        predicted: heatmaps (P, h, w, J), and the skeleton of the J joints.
        codec: of both.

    Returns:
        uint8 RGB; crops under 256 pixels high are shown enlarged.
    """
    heatmaps, weights, skeleton = target
    maps, known = predicted
    zoom = math.ceil(_HEIGHT / crops.shape[1])
    enlarge = np.array([[zoom, 0.0, 0.0], [0.0, zoom, 0.0]])
    pictures = [warp(crop, enlarge, crop.shape[0] * zoom, crop.shape[1] * zoom) for crop in crops]

    def joints(maps, shown):
        points = codec.decode(maps)
        return np.dstack(
            [points[..., :2] * zoom, points[..., 2] > KEYPOINT_THRESHOLD if shown is None else shown]
        )

    def drawn(joints, skeleton):
        hidden = np.zeros(len(skeleton), bool)
        return [with_joints(*one, hidden, skeleton) for one in zip(pictures, joints, strict=True)]

    def heated(maps):
        stride = codec.stride * zoom
        return [with_heat(*one, stride) for one in zip(pictures, np.clip(maps, 0, 1), strict=True)]

    learnt, found = joints(heatmaps, weights), joints(maps, None)
    rows = range(len(crops))
    columns = [
        ([f"{int(learnt[row, :, 2].sum())} joints labelled" for row in rows], drawn(learnt, skeleton)),
        (["targets"] * len(rows), heated(heatmaps)),
        ([f"predicted, highest {maps[row].max():.2f}" for row in rows], heated(maps)),
        ([f"{int(found[row, :, 2].sum())} of {len(known)} found" for row in rows], drawn(found, known)),
    ]
    return contact_sheet([f"person {row + 1}" for row in rows], columns, _LEGEND)
