"""The checkpoint of a run: one file that says all, written whole or not at all."""

import contextlib
import json
import os
import signal
import zipfile
from pathlib import Path
from typing import NamedTuple

import keras

from flpn_tf.errors import InputError
from flpn_tf.runtime.signals import answering
from flpn_tf.spec import ZIP_ERRORS

CHECKPOINT = "checkpoint.keras"
_PLACE = "place.json"  # within the .keras archive


class Place(NamedTuple):
    """How far a run has come.

    Attributes:
        step: of the whole run, those done.
        loss: mean of the steps done of an epoch begun; 0 at an epoch's beginning.
    """

    step: int = 0
    loss: float = 0.0


def save_atomically(model: keras.Model, path: Path, place: Place | None = None) -> None:
    """`model.save` to a neighbour file that then takes the place of `path`.

    Raises:
        OSError: it cannot be written; `path` is as it was and the neighbour is gone.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        model.save(partial)
        if place is not None:
            with zipfile.ZipFile(partial, "a") as archive:
                archive.writestr(_PLACE, json.dumps(place._asdict()))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def steps_done(model: keras.Model) -> int:
    """The updates that a compiled model's optimiser has made."""
    # `int()` refuses a variable that several devices mirror.
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def restore(model: keras.Model, output: Path) -> Place:
    """Gives a compiled model with a built optimiser the state of `output`'s checkpoint, where there is one.

    Raises:
        InputError: the checkpoint is damaged, or of another network.
    """
    path = output / CHECKPOINT
    if not path.exists():
        return Place()
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise ValueError(f"{broken} is damaged")
            place = Place(**json.loads(archive.read(_PLACE)))
        model.load_weights(path)
        # Fewer, where float16's gradients have overflowed: such steps leave the weights as they are.
        if steps_done(model) > place.step:
            raise ValueError("its optimiser is of another step")
    except (OSError, TypeError, AttributeError, *ZIP_ERRORS) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: is no checkpoint of this run ({reason}); remove {output} to begin again"
        ) from error
    return place


class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimiser and place, so that the same command goes on from there.

    At each epoch's end, every `steps` steps, and when `stop` asks for it; then it raises KeyboardInterrupt,
    at an epoch's end by `StopBehindEpoch`.

    Args:
        folder: gets `checkpoint.keras`.
        done: steps of the run before.
        steps: between; 0 for the epochs' ends alone.
        stop: a `StopRequest`.
        check: called with the moment before a save within an epoch; raises where nothing may be saved.
        write: False keeps all but the saving, for a worker that is not the chief.
    """

    def __init__(self, folder: Path, done: int, steps: int, stop: "StopRequest", check, write: bool = True):
        super().__init__()
        self.folder = folder
        self.step = done
        self.steps = steps
        self.stop = stop
        self.check = check
        self.write = write

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        due = self.steps and self.step % self.steps == 0
        if (due or self.stop.due) and batch + 1 < self.params["steps"]:
            if hasattr(self.model, "jax_state_sync"):
                self.model.jax_state_sync()
            self.check(f"step {self.step}")
            self._save(logs["loss"])
            if self.stop.due:
                raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        self._save(0.0)

    def _save(self, loss):
        if self.write:
            save_atomically(self.model, self.folder / CHECKPOINT, Place(self.step, float(loss)))


class StopBehindEpoch(keras.callbacks.Callback):
    """Raises KeyboardInterrupt at the end of an epoch where `stop` asks for it.

    It stands behind what measures the epoch: a run that goes on never measures one that it has done.
    """

    def __init__(self, stop: "StopRequest"):
        super().__init__()
        self.stop = stop

    def on_epoch_end(self, epoch, logs=None):
        if self.stop.due:
            raise KeyboardInterrupt


class StopRequest(contextlib.AbstractContextManager):
    """Meanwhile the first SIGINT or SIGTERM only sets `asked`; the second ends the program (`answering`).

    Attributes:
        asked: whether this process was.
        agreed: of several workers, whether one of them was, as all know behind the same step; else None.
    """

    asked = False
    agreed: bool | None = None

    @property
    def due(self) -> bool:
        """Whether to stop."""
        return self.asked if self.agreed is None else self.agreed

    def __enter__(self):
        self._answering = answering((signal.SIGINT, signal.SIGTERM), self._ask)
        self._answering.__enter__()
        return self

    def _ask(self, number, frame):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # `print` may be interrupted in its own middle.
        os.write(2, b"stopping behind this step, with a checkpoint; once more to stop at once\n")

    def __exit__(self, *exception):
        self._answering.__exit__(*exception)
