"""Checkpointing, progress, and the stop at the first number that is none."""

import sys
import time
from pathlib import Path

import keras
import numpy as np

from flpn_tf.errors import InputError

CHECKPOINT = "checkpoint.keras"


def save_atomically(model: keras.Model, path: Path) -> None:
    """`model.save` to a neighbour file that then takes the place of `path`.

    Raises:
        OSError: it cannot be written; `path` is as it was and the neighbour is gone.
    """
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        model.save(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class Checkpoint(keras.callbacks.Callback):
    """Saves weights and optimiser after every epoch, so that the same command goes on from there.

    The optimiser counts the steps, so this one file also says how far the run has come.

    Args:
        folder: gets `checkpoint.keras`.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        save_atomically(self.model, self.folder / CHECKPOINT)


class StopWhenNotFinite(keras.callbacks.Callback):
    """Ends a run whose loss or weights have become NaN or infinite; stands before `Checkpoint`.

    Raises:
        InputError: in the step that shows it, or at the epoch's end, before the checkpoint is replaced.
    """

    def on_train_begin(self, logs=None):
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        # Reading the loss costs a wait for the device each step; a lost epoch costs more.
        if not np.isfinite(logs["loss"]):
            self._stop("the loss", f"step {batch + 1} of epoch {self.epoch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        # The last step's update comes after its loss.
        for variable in [*self.model.weights, *self.model.optimizer.variables]:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                self._stop(variable.path, f"the end of epoch {epoch + 1}")

    def _stop(self, what, when):
        raise InputError(
            f"training failed, {what} is not finite at {when}: lower schedule.learning_rate or lengthen its "
            "warm-up, in a new output folder; the checkpoint is that of the last good epoch"
        )


class Progress(keras.callbacks.Callback):
    """A line on stderr every few seconds: step, loss, images per second, time to go.

    Args:
        batch_size: persons per step.
        seconds: between lines.
    """

    def __init__(self, batch_size: int, seconds: float = 20.0):
        super().__init__()
        self.batch_size = batch_size
        self.seconds = seconds

    def on_train_begin(self, logs=None):
        self.epoch = 0
        self.done = 0
        self.started = self.reported = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        now = time.monotonic()
        if self.done == 1:
            # The first step compiles; the rate is that of the others.
            self.started = now
        if now - self.reported < self.seconds or self.done < 2:
            return
        self.reported = now
        steps, epochs = self.params["steps"], self.params["epochs"]
        rate = (self.done - 1) / (now - self.started)
        left = ((epochs - self.epoch) * steps - batch - 1) / rate
        time_left = f"{left / 60:.0f} min" if left >= 60 else f"{left:.0f} s"
        print(
            f"epoch {self.epoch + 1}/{epochs} step {batch + 1}/{steps} loss {logs['loss']:.6f} "
            f"{rate * self.batch_size:.1f} img/s, {time_left} to go",
            file=sys.stderr,
            flush=True,
        )

    def on_epoch_end(self, epoch, logs=None):
        epochs = self.params["epochs"]
        print(f"epoch {epoch + 1}/{epochs} done, loss {logs['loss']:.6f}", file=sys.stderr, flush=True)
