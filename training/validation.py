"""What a run reaches on people it does not train on, and its best weights."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras
import numpy as np

from flpn_tf.data.records import People
from flpn_tf.errors import InputError
from flpn_tf.evaluation.joints import joint_pairs
from flpn_tf.evaluation.metrics import has_torsos, people_metrics
from flpn_tf.evaluation.pck import PCK
from flpn_tf.geometry import crop_affine, shown_area
from flpn_tf.runtime.estimator import decode_poses
from flpn_tf.runtime.files import write_atomically
from flpn_tf.training.checkpoint import save_atomically
from flpn_tf.training.loss import HeatmapLoss
from flpn_tf.training.snapshot import Snapshot

BEST = "best.keras"
BEST_VALUE = "best.json"


class Validation(keras.callbacks.Callback):
    """Measures AP, PCK and loss with ground-truth boxes, without flip, and keeps the best weights.

    The moving average is what is measured and kept, where the optimiser has one. Adds `val_AP`, `val_PCK`
    (where the people have torsos) and `val_loss` to the epoch's `logs`, so it stands before the log.

    Joints meet by name; the loss is over those of both.

    Args:
        people: N.
        output: folder, gets `best.keras` and then `best.json`, {"metric", "value", "epoch"}, whenever
            `metric` is better than ever in this run.
        every: epochs between; the last is always measured.
        metric: "AP", "PCK" or "loss".
        batch_size: of the predictions.
        batches: () → an iterable of (crops, heatmaps, weights) as of `training_dataset`: the people in their
            order, crops without augmentation, at most `batch_size` at once. By default that data set.
        epochs: of the whole run; by default those of `fit`.
        settle: as of `Snapshot`.

    Raises:
        InputError: `metric` is PCK and there are no torsos; when training begins, the people's skeleton
            shares fewer than half of its joints with the model's or `best.json` is damaged; while it
            measures, a photo that cannot be decoded.
        OSError: `output` cannot be written to.
    """

    def __init__(
        self,
        people: People,
        output: Path,
        every: int,
        metric: str,
        batch_size: int,
        batches: Callable[[], Iterable] | None = None,
        epochs: int | None = None,
        settle: Callable[[keras.Model], None] | None = None,
    ):
        super().__init__()
        if metric == "PCK" and not has_torsos(people):
            raise InputError(
                f"{people.source}: nobody has a labelled torso, which PCK is measured by; choose another "
                "validation.metric. Received: PCK"
            )
        self.people = people
        self.output = output
        self.every = every
        self.metric = metric
        self.batch_size = batch_size
        self.batches = batches or self._dataset
        self.epochs = epochs
        self.settle = settle

    def on_train_begin(self, logs=None):
        model, skeleton = self.model, self.people.skeleton
        self._theirs, self._ours = joint_pairs(skeleton, model.skeleton)
        if unmatched := skeleton.unmatched(model.skeleton):
            _say(f"validation leaves out what the model has no joint for: {', '.join(unmatched)}")
        self._snapshot = Snapshot(model, self.batch_size, self.settle)
        self._best = self._read_best()

    def on_epoch_end(self, epoch, logs=None):
        done, epochs = epoch + 1, self.epochs or self.params["epochs"]
        if done % self.every and done != epochs:
            return
        begun = time.monotonic()
        self._snapshot.update(self.model)
        values = self._measure()
        logs.update({f"val_{name}": value for name, value in values.items()})
        better = self._is_better(values.get(self.metric))
        if better:
            self._keep(values[self.metric], done)
        _say(
            f"epoch {done}/{epochs} validation: "
            + ", ".join(
                f"{name} {value:.6f}" if name == "loss" else f"{name} {value:.2f}"
                for name, value in values.items()
            )
            + f", {len(self.people)} people in {time.monotonic() - begun:.0f} s"
            + f", the best {self.metric} so far" * better
        )

    def _measure(self) -> dict[str, float]:
        network, people = self._snapshot.network, self.people
        loss_of = HeatmapLoss(reduction="sum")
        keypoints, scores, areas, loss = [], [], [], 0.0
        done = 0
        for batch in self.batches():
            crops, heatmaps, weights = map(np.asarray, batch)
            predicted = self._snapshot.predict(crops)
            records = people.records[done : done + len(crops)]
            affines = [crop_affine(record.box, *network.image_size) for record in records]
            poses = decode_poses(network.codec, predicted, affines)
            keypoints.append(poses[0])
            scores.append(poses[1])
            areas += [shown_area(affine, *network.image_size) for affine in affines]
            loss += float(
                loss_of(
                    heatmaps[..., self._theirs],
                    predicted[..., self._ours],
                    sample_weight=weights[:, self._theirs],
                )
            )
            done += len(crops)
        metrics = people_metrics(
            people, np.concatenate(keypoints), np.concatenate(scores), np.array(areas), network.skeleton
        )
        values = {"AP": metrics["AP"], "PCK": metrics.get(PCK), "loss": loss / (done * len(self._theirs))}
        return {name: value for name, value in values.items() if value is not None}

    def _is_better(self, value: float | None) -> bool:
        if value is None or self._best is None:
            return value is not None
        return value < self._best if self.metric == "loss" else value > self._best

    def _keep(self, value: float, epoch: int) -> None:
        save_atomically(self._snapshot.network, self.output / BEST)
        content = json.dumps({"metric": self.metric, "value": value, "epoch": epoch})
        write_atomically(self.output / BEST_VALUE, f"{content}\n".encode())
        self._best = value

    def _read_best(self) -> float | None:
        """What an earlier part of the run has reached."""
        path = self.output / BEST_VALUE
        if not path.exists() or not (self.output / BEST).exists():
            return None
        try:
            stored = json.loads(path.read_bytes())
            return float(stored["value"]) if stored["metric"] == self.metric else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: does not say how good {BEST} is; remove it, and the next epoch measured is the best"
            ) from error

    def _dataset(self) -> Iterator:
        import tensorflow as tf

        from flpn_tf.data.pipeline import explain, training_dataset

        network = self._snapshot.network
        batches = training_dataset(
            self.people,
            network.codec,
            network.image_size,
            self.batch_size,
            shuffle=False,
            repeat=False,
            drop_remainder=False,
        )
        try:
            yield from batches
        except tf.errors.OpError as error:
            failure = explain(self.people, self.batch_size)
            if failure is None:
                raise
            raise failure from error


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
