"""Runs of the tiny network: their config, what they leave, how they are stopped."""

import csv

import numpy as np
import pytest

from flpn_tf.data.augment import Augmentation
from flpn_tf.errors import InputError
from flpn_tf.models.load import load_network
from flpn_tf.training import callbacks
from flpn_tf.training.config import (
    Config,
    ModelConfig,
    ScheduleConfig,
    ValidationConfig,
)
from flpn_tf.training.fit import train

STEPS = 2  # an epoch: 8 people in batches of 4
BEGUN = ["checkpoint.keras", "config.yaml", "log.csv", "run.json", "tensorboard"]


def config(**schedule):
    values = {"epochs": 4, "batch_size": 4, "learning_rate": 0.01, "schedule": "cosine", "warmup_steps": 3}
    return Config(
        ModelConfig(image_size=(64, 64)),
        Augmentation(),
        ScheduleConfig(**values | {"ema": 0.5} | schedule),
        validation=ValidationConfig(every=0),
    )


def losses(output):
    with (output / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["epoch"]) for row in rows] == list(range(len(rows)))
    return [float(row["loss"]) for row in rows]


def epochs_done(output):
    return int(load_network(output / "checkpoint.keras", compiled=True).optimizer.iterations) / STEPS


def names(output):
    """Files and folders, the model last."""
    found = sorted(path.name for path in output.iterdir())
    return [name for name in found if name != "model.keras"] + ["model.keras"] * ("model.keras" in found)


def contents(output):
    return {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}


def same_weights(one, other, **tolerance):
    for a, b in zip(load_network(one).get_weights(), load_network(other).get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def stop_after(monkeypatch, steps, act):
    """Calls `act(progress callback)` when so many steps of a run are done."""
    ended = callbacks.Progress.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        ended(self, batch, logs)
        if self.done == steps:
            act(self)

    monkeypatch.setattr(callbacks.Progress, "on_train_batch_end", on_train_batch_end)


def interrupt(progress):
    raise KeyboardInterrupt


def refused(message, *arguments, **options):
    with pytest.raises(InputError) as caught:
        train(*arguments, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
