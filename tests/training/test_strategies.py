"""One device, two devices, two processes and JAX take the same training steps."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import synthetic_people
import tensorflow as tf
import train_small
from helpers import REPOSITORY, randomise
from small_network import SmallNetwork

from flpn_tf.data.augment import Augmentation
from flpn_tf.data.pipeline import training_dataset
from flpn_tf.data.sources import read_people
from flpn_tf.training.config import Config, ModelConfig, ScheduleConfig, ValidationConfig
from flpn_tf.training.config_file import dump_config
from flpn_tf.training.loss import HeatmapLoss
from flpn_tf.training.optimizer import make_optimizer

pytestmark = pytest.mark.slow

STEPS = 20
SCHEDULE = {
    "epochs": STEPS,  # of one step each, so that the log has every step's loss
    "batch_size": 8,
    "learning_rate": 0.001,
    "drops": (10,),
    "ema": 0.9,
    "clip_norm": 0.5,
    "weight_decay": 0.01,
}
CONFIGS = {
    name: Config(
        ModelConfig(image_size=(64, 64)),
        Augmentation(),
        ScheduleConfig(**SCHEDULE, freeze_batch_norm=frozen),
        validation=ValidationConfig(every=0),
    )
    for name, frozen in (("frozen", True), ("live", False))
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, first weights, configs, and the runs of every strategy."""
    folder = tmp_path_factory.mktemp("strategies")
    synthetic_people.write(folder / "people", synthetic_people.document())
    randomise(SmallNetwork((64, 64), synthetic_people.SKELETON)).save(folder / "init.keras")
    for name, config in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(dump_config(config))
    return folder


def start(folder, name, strategy="auto", **environment):
    runs = [f"{name}-{config}={config}.yaml" for config in CONFIGS]
    paths = [str(REPOSITORY), *filter(None, sys.path)]
    return subprocess.Popen(
        [sys.executable, train_small.__file__, "people", "init.keras", strategy, *runs],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes):
    for process in processes:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error[-4000:]


def losses(folder, name, config):
    with (folder / f"{name}-{config}" / "log.csv").open() as file:
        values = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(values) == STEPS
    return np.array(values)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture(scope="module")
def one(folder):
    finish(start(folder, "one"))
    return folder


@pytest.fixture(scope="module")
def mirrored(folder):
    finish(start(folder, "mirrored", "mirrored", LOGICAL_CPUS="2"))
    return folder


def start_workers(folder):
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    settings = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(2)]
    return [start(folder, "workers", TF_CONFIG=json.dumps(each)) for each in settings]


@pytest.fixture(scope="module")
def workers(folder):
    """The first run is stopped by a signal to the worker that writes nothing, and goes on."""
    processes = start_workers(folder)
    while not (folder / "workers-frozen" / "checkpoint.keras").exists():
        assert all(process.poll() is None for process in processes), processes[0].communicate()
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGTERM)
    for process in processes:
        _, error = process.communicate(timeout=100)
        assert "KeyboardInterrupt" in error
    assert not (folder / "workers-frozen" / "model.keras").exists()
    finish(*start_workers(folder))
    return folder


@pytest.fixture(scope="module")
def jax(folder):
    pytest.importorskip("jax")
    finish(start(folder, "jax", KERAS_BACKEND="jax"))
    return folder


@pytest.fixture(scope="module")
def simulated(folder):
    """Losses of 20 steps in one process in which each half of a batch has its own batch statistics."""
    config = CONFIGS["live"]
    people = read_people(folder / "people")
    model = keras.models.load_model(folder / "init.keras")
    optimizer = make_optimizer(config.schedule, 1, model)
    optimizer.build(model.trainable_variables)
    batches = training_dataset(people, model.codec, (64, 64), 8, augmentation=config.augmentation)
    found = []
    for crops, heatmaps, weights in batches.take(STEPS):
        before = [variable.numpy() for variable in model.non_trainable_variables]
        sums, gradients, loss = 0, 0, 0
        for half in (slice(0, 4), slice(4, 8)):
            for variable, value in zip(model.non_trainable_variables, before, strict=True):
                variable.assign(value)
            with tf.GradientTape() as tape:
                mean = HeatmapLoss()(heatmaps[half], model(crops[half], training=True), weights[half])
            ours = tape.gradient(mean, [v.value for v in model.trainable_variables])
            gradients = (
                [g / 2 for g in ours]
                if not gradients
                else [a + g / 2 for a, g in zip(gradients, ours, strict=True)]
            )
            after = [variable.numpy() / 2 for variable in model.non_trainable_variables]
            sums = after if not sums else [a + b for a, b in zip(sums, after, strict=True)]
            loss += float(mean) / 2
        for variable, value in zip(model.non_trainable_variables, sums, strict=True):
            variable.assign(value)
        optimizer.apply(gradients, model.trainable_variables)
        found.append(loss)
    return np.array(found)


def test_the_reference_learns(one):
    for name in CONFIGS:
        found = losses(one, "one", name)
        assert found[-1] < 0.8 * found[0]


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "other", ["mirrored", pytest.param("workers", marks=SLOW), pytest.param("jax", marks=SLOW)]
)
def test_frozen_batch_norm(one, other, request):
    folder = request.getfixturevalue(other)
    np.testing.assert_allclose(losses(folder, other, "frozen"), losses(one, "one", "frozen"), rtol=1e-4)


@pytest.mark.parametrize("other", ["mirrored", "workers"])
def test_batch_norm_of_each_replica(simulated, other, request):
    """Under TensorFlow each device normalises by its own part of the batch."""
    folder = request.getfixturevalue(other)
    np.testing.assert_allclose(losses(folder, other, "live"), simulated, rtol=1e-3)


def test_batch_norm_of_the_whole_batch(one, jax):
    """Under JAX the whole batch is normalised."""
    np.testing.assert_allclose(losses(jax, "jax", "live"), losses(one, "one", "live"), rtol=1e-3)


def test_workers_leave_one_run(workers):
    """Only the chief writes, once a start."""
    for name, starts in (("frozen", 2), ("live", 1)):
        run = Path(workers, f"workers-{name}")
        sessions = json.loads((run / "run.json").read_text())["sessions"]
        assert len(sessions) == starts
        assert 0 < sessions[-1]["epochs_done"] < STEPS or starts == 1
        assert (run / "model.keras").is_file()
