"""Checkpointing and progress."""

import json
import os
import sys
import time
from pathlib import Path

import keras

CHECKPOINT = "checkpoint.keras"
PROGRESS = "progress.json"


def save_atomically(model: keras.Model, path: Path, **kwargs) -> None:
    """`model.save` to a neighbour file that then takes the place of `path`."""
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    model.save(partial, **kwargs)
    os.replace(partial, path)


class Checkpoint(keras.callbacks.Callback):
    """Saves weights and optimiser after every epoch, so that the same command goes on from there.

    Args:
        folder: gets `checkpoint.keras` and `progress.json`, the second only after the first is whole.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        save_atomically(self.model, self.folder / CHECKPOINT)
        partial = self.folder / f".{PROGRESS}.partial"
        partial.write_text(json.dumps({"epochs": epoch + 1, "loss": float(logs["loss"])}) + "\n")
        os.replace(partial, self.folder / PROGRESS)


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
        left = (epochs - self.epoch) * steps - batch - 1
        print(
            f"epoch {self.epoch + 1}/{epochs} step {batch + 1}/{steps} loss {logs['loss']:.6f} "
            f"{rate * self.batch_size:.1f} img/s, {left / rate / 60:.0f} min to go",
            file=sys.stderr,
            flush=True,
        )
