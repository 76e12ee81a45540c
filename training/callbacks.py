"""Progress, the log, and the stop at the first number that is none."""

import csv
import io
import sys
import time
from pathlib import Path

import keras
import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.files import write_atomically
from flpn_tf.training.checkpoint import Place

LOG = "log.csv"


class WholeEpoch(keras.callbacks.Callback):
    """Makes `logs["loss"]` the mean since the epoch's beginning where a run goes on within an epoch.

    Stands before every other callback; they share the `logs`.

    Args:
        place: where the run goes on.
        steps: an epoch.
    """

    def __init__(self, place: Place, steps: int):
        super().__init__()
        self.before, self.loss = place.step % steps, place.loss
        self.batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches = batch + 1
        self._extend(logs)

    def on_epoch_end(self, epoch, logs=None):
        self._extend(logs)
        self.before = 0

    def _extend(self, logs):
        share = self.before / (self.before + self.batches)
        logs["loss"] = share * self.loss + (1 - share) * logs["loss"]


class NotFinite(InputError):
    """Training failed: a number is NaN or infinite.

    Args:
        what: is not finite.
        when: it was seen.
        step: steps of the run done before the one whose batch may show why.
    """

    def __init__(self, what: str, when: str, step: int):
        super().__init__(
            f"training failed, {what} is not finite at {when}: lower schedule.learning_rate or lengthen its "
            "warm-up, in a new output folder; the checkpoint is the last good one"
        )
        self.step = step


class StopWhenNotFinite(keras.callbacks.Callback):
    """Ends a run whose loss or weights have become NaN or infinite.

    Args:
        done: steps of the run before.

    Raises:
        NotFinite: in the step that shows it, or before a checkpoint is replaced.
    """

    def __init__(self, done: int):
        super().__init__()
        self.step = done

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        # Reading the loss costs a wait for the device each step; a lost epoch costs more.
        if not np.isfinite(logs["loss"]):
            raise NotFinite("the loss", f"step {batch + 1} of epoch {self.epoch + 1}", self.step)
        self.step += 1

    def on_epoch_end(self, epoch, logs=None):
        self.check(f"the end of epoch {epoch + 1}")

    def check(self, when: str) -> None:
        """Looks at every weight: a step's update comes after its loss."""
        for variable in [*self.model.weights, *self.model.optimizer.variables]:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                raise NotFinite(variable.path, when, self.step - 1)


class Log(keras.callbacks.Callback):
    """A row an epoch in `log.csv`, the file rewritten whole each time.

    Stands before `Checkpoint`: a row without its checkpoint is dropped when the run goes on, so no row is
    twice or missing.

    Raises:
        InputError: the file of an earlier part of the run is damaged.

    Args:
        folder: gets `log.csv`.
        epochs_done: by the run so far.
    """

    def __init__(self, folder: Path, epochs_done: int):
        super().__init__()
        self.path = folder / LOG
        self.rows = []
        if self.path.exists():
            try:
                with self.path.open(newline="") as file:
                    self.rows = [row for row in csv.DictReader(file) if int(row["epoch"]) < epochs_done]
            except (ValueError, KeyError, TypeError, csv.Error) as error:
                raise InputError(
                    f"{self.path}: is damaged; remove it, and later epochs begin a new one"
                ) from error

    def on_epoch_end(self, epoch, logs=None):
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self.rows.append({"epoch": epoch, **logs, "learning_rate": rate})
        self._write()

    def amend(self, epoch, logs) -> None:
        """Adds what came to `logs` behind the epoch's row."""
        self.rows[-1] |= logs
        self._write()

    def _write(self):
        names = dict.fromkeys(name for row in self.rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue().encode())


class Progress(keras.callbacks.Callback):
    """A line on stderr every few seconds: step, loss, images per second, time to go.

    Args:
        batch_size: persons per step, of all devices.
        steps: an epoch.
        epochs: of the whole run.
        seconds: between lines.
    """

    def __init__(self, batch_size: int, steps: int, epochs: int, seconds: float = 20.0):
        super().__init__()
        self.batch_size = batch_size
        self.steps = steps
        self.epochs = epochs
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
        epochs, step = self.epochs, self.steps - self.params["steps"] + batch + 1
        rate = (self.done - 1) / (now - self.started)
        left = ((epochs - self.epoch) * self.steps - step) / rate
        time_left = f"{left / 60:.0f} min" if left >= 60 else f"{left:.0f} s"
        print(
            f"epoch {self.epoch + 1}/{epochs} step {step}/{self.steps} loss {logs['loss']:.6f} "
            f"{rate * self.batch_size:.1f} img/s, {time_left} to go",
            file=sys.stderr,
            flush=True,
        )

    def on_epoch_end(self, epoch, logs=None):
        values = ", ".join(f"{name} {value:.6g}" for name, value in logs.items())
        print(f"epoch {epoch + 1}/{self.epochs} done, {values}", file=sys.stderr, flush=True)
