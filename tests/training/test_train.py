"""What a run leaves behind, and how it goes on."""

import csv
import dataclasses
import hashlib
import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest
import synthetic_people
from helpers import randomise
from runs import (
    BEGUN,
    STEPS,
    config,
    epochs_done,
    interrupt,
    losses,
    names,
    refused,
    same_weights,
    stop_after,
)
from tiny_network import TinyNetwork

from flpn_tf.data import pipeline
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.prepare import prepare
from flpn_tf.data.stored_photo import StoredPhoto
from flpn_tf.models.load import load_network
from flpn_tf.skeleton import Skeleton
from flpn_tf.training.callbacks import WholeEpoch
from flpn_tf.training.config import ComputeConfig, TeacherConfig, ValidationConfig
from flpn_tf.training.config_file import load_config
from flpn_tf.training.fit import train

pytestmark = pytest.mark.usefixtures("tiny")


def test_a_finished_run(finished):
    assert names(finished) == [*BEGUN, "model.keras"]
    asked = config()
    resolved = dataclasses.replace(asked, compute=dataclasses.replace(asked.compute, augment_on="host"))
    assert load_config(finished / "config.yaml") == resolved
    assert epochs_done(finished) == 4
    found = losses(finished)
    assert len(found) == 4
    assert found[-1] < found[0]


def test_the_model_has_the_moving_average_and_no_optimiser(finished):
    model = keras.models.load_model(finished / "model.keras")
    assert not model.compiled
    assert model.skeleton == synthetic_people.SKELETON
    checkpoint = load_network(finished / "checkpoint.keras", compiled=True)
    averages = [v.numpy() for v in checkpoint.optimizer.variables if "average" in v.path]
    assert len(averages) == len(model.trainable_variables)
    for average, weight in zip(averages, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(weight.numpy(), average)
    assert np.abs(averages[0] - checkpoint.trainable_variables[0].numpy()).max() > 1e-5


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(finished, data, tmp_path, monkeypatch, capsys):
    output = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(patch, 2 * STEPS + 1, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config(), data, output)
    assert names(output) == BEGUN
    assert epochs_done(output) == 2
    train(config(), data, output)
    assert "going on after epoch 2" in capsys.readouterr().err
    np.testing.assert_allclose(losses(output), losses(finished), rtol=1e-3)
    same_weights(output / "model.keras", finished / "model.keras", rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_interrupted_within_an_epoch_it_goes_on_there(finished, data, tmp_path, monkeypatch, capsys, stop):
    """The epoch's loss in the log is that of all its steps, those before the interruption too."""
    output = tmp_path / "run"
    every_step = dataclasses.replace(config(), compute=ComputeConfig(checkpoint_steps=1))
    with monkeypatch.context() as patch:
        stop_after(patch, stop, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt):
            train(every_step, data, output)
    assert "stopping" not in capsys.readouterr().out
    assert epochs_done(output) == (stop + 1) / STEPS  # the signal came behind the checkpoint of its step
    train(every_step, data, output)
    place = f", going on after epoch {(stop + 1) // STEPS}" + " and 1 steps" * ((stop + 1) % STEPS)
    assert place in capsys.readouterr().err
    np.testing.assert_allclose(losses(output), losses(finished), rtol=1e-3)
    same_weights(output / "model.keras", finished / "model.keras", rtol=1e-2, atol=1e-3)


def test_a_signal_asks_for_a_checkpoint(data, tmp_path, monkeypatch):
    output = tmp_path / "run"
    monkeypatch.setattr(
        WholeEpoch,
        "on_train_batch_begin",
        lambda self, batch, logs=None: os.kill(os.getpid(), signal.SIGTERM),
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        train(config(), data, output)
    assert epochs_done(output) == 0.5
    assert signal.getsignal(signal.SIGTERM) is before


def test_asked_to_stop_in_its_last_step_a_run_is_measured_first(data, tmp_path, monkeypatch):
    output = tmp_path / "run"
    measured = dataclasses.replace(config(epochs=1, warmup_steps=0), validation=ValidationConfig())
    with monkeypatch.context() as patch:
        stop_after(patch, STEPS, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(KeyboardInterrupt):
            train(measured, data, output, validation=data)
    assert (epochs_done(output), "model.keras" in names(output)) == (1, False)
    train(measured, data, output, validation=data)
    assert {"best.keras", "model.keras"} < set(names(output))
    with (output / "log.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["val_AP"]) >= 0


def test_a_run_goes_on_with_the_same_teacher_alone(finished, data, tmp_path):
    teacher, output = tmp_path / "teacher.keras", tmp_path / "run"
    shutil.copy(finished / "model.keras", teacher)
    taught = dataclasses.replace(config(epochs=1, warmup_steps=0), teacher=TeacherConfig(str(teacher)))
    train(taught, data, output)
    train(taught, data, output)
    randomise(load_network(teacher)).save(teacher)
    refused("holds a run of another config", taught, data, output)


def test_devices_and_checkpoints_may_change_when_a_run_goes_on(copied, data):
    compute = ComputeConfig(jit=True, strategy="one_device", checkpoint_steps=7)
    train(dataclasses.replace(config(), compute=compute), data, copied)
    refused(
        "holds a run of another config",
        dataclasses.replace(config(), compute=ComputeConfig("mixed_bfloat16")),
        data,
        copied,
    )


def test_rounds_go_on_from_the_last_weights(data, tmp_path):
    output = tmp_path / "run"
    assert train(config(epochs=2, rounds=2), data, output).is_file()
    found = losses(output)
    assert len(found) == 4
    with (output / "log.csv").open() as stream:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(stream)]
    # Of the step after each epoch: the second round begins its warm-up again.
    assert rates[1] == 0
    assert rates[0] == rates[2] > 0


def test_interrupted_in_the_first_epoch_it_begins_again(finished, data, tmp_path, monkeypatch):
    output = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(patch, 1, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config(), data, output)
    assert not (output / "checkpoint.keras").exists()
    train(config(), data, output)
    np.testing.assert_allclose(losses(output), losses(finished), rtol=1e-3)


def test_a_finished_run_again_writes_the_same_model(copied, finished, data):
    (copied / "model.keras").unlink()
    train(config(), data, copied)
    same_weights(copied / "model.keras", finished / "model.keras", atol=0)
    assert (copied / "log.csv").read_text() == (finished / "log.csv").read_text()


def test_the_seed_decides_the_run(finished, data, tmp_path):
    train(config(seed=1), data, tmp_path / "run")
    assert losses(tmp_path / "run")[0] != pytest.approx(losses(finished)[0], rel=1e-3)


def test_what_a_run_was_made_with(finished, data):
    (session,) = json.loads((finished / "run.json").read_text())["sessions"]
    digest = hashlib.sha256((data / "annotations.json").read_bytes()).hexdigest()
    assert session["data"] == {"source": "annotations.json", "people": 8, "sha256": digest}
    assert session["packages"]["keras"] == keras.__version__
    assert session["backend"] == keras.backend.backend()
    assert session["epochs_done"] == 0


def test_each_start_of_a_run_is_recorded(copied, data):
    (copied / "model.keras").unlink()
    train(config(), data, copied)
    sessions = json.loads((copied / "run.json").read_text())["sessions"]
    assert [session["epochs_done"] for session in sessions] == [0, 4]


def test_prepared_data_trains_as_well(data, tmp_path):
    prepare(data, tmp_path / "prepared", StoredPhoto(image_size=(64, 64)), shard_size=3)
    few = config(epochs=2, warmup_steps=0)
    train(few, tmp_path / "prepared", tmp_path / "run")
    assert "sha256 of the prepared data" in (tmp_path / "run" / "config.yaml").read_text()
    assert losses(tmp_path / "run")[1] < losses(tmp_path / "run")[0]


def test_mixed_precision_leaves_float32_weights_and_the_policy_as_it_was(data, tmp_path):
    mixed = dataclasses.replace(config(epochs=1, warmup_steps=0), compute=ComputeConfig("mixed_bfloat16"))
    train(mixed, data, tmp_path / "run")
    assert keras.config.dtype_policy().name == "float32"
    model = load_network(tmp_path / "run" / "model.keras")
    assert {str(w.dtype) for w in model.weights} == {"float32"}


def test_clipping_bounds_a_step(data, tmp_path):
    """With a tiny bound on the gradient, Adam's first step is far below its learning rate."""
    start = randomise(TinyNetwork((64, 64), synthetic_people.SKELETON))
    start.save(tmp_path / "start.keras")
    clipped = config(epochs=1, batch_size=8, warmup_steps=0, clip_norm=1e-12, learning_rate=1e-3, ema=None)
    train(clipped, data, tmp_path / "run", init=tmp_path / "start.keras")
    model = load_network(tmp_path / "run" / "model.keras")
    moved = [np.abs(a - b.numpy()).max() for a, b in zip(model.get_weights(), start.weights, strict=True)]
    trained = [change for change, w in zip(moved, start.weights, strict=True) if w.trainable]
    assert max(trained) < 1e-5


def test_weight_decay_is_for_kernels(data, tmp_path):
    start = randomise(TinyNetwork((64, 64), synthetic_people.SKELETON))
    start.save(tmp_path / "start.keras")
    decayed = config(
        epochs=1,
        batch_size=8,
        warmup_steps=0,
        clip_norm=1e-12,
        learning_rate=1e-2,
        weight_decay=10.0,
        ema=None,
    )
    train(decayed, data, tmp_path / "run", init=tmp_path / "start.keras")
    model = load_network(tmp_path / "run" / "model.keras")
    for before, after in zip(start.trainable_variables, model.trainable_variables, strict=True):
        factor = 0.9 if "kernel" in before.name else 1.0
        np.testing.assert_allclose(after.numpy(), factor * before.numpy(), atol=1e-5)


def test_init_gives_the_first_weights(data, tmp_path):
    start = randomise(TinyNetwork((96, 64), synthetic_people.SKELETON))
    start.save(tmp_path / "start.keras")
    still = config(learning_rate=1e-30, epochs=1, warmup_steps=0)
    train(still, data, tmp_path / "run", init=tmp_path / "start.keras")
    model = load_network(tmp_path / "run" / "model.keras")
    for ours, theirs in zip(model.trainable_variables, start.trainable_variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_init_of_other_joints_takes_those_of_the_same_name(data, tmp_path, capsys):
    """Order and number of the joints may differ: each channel goes to its name, and new ones are named."""
    own = synthetic_people.SKELETON
    names = ("tail", *own.names[:1:-1])  # turned round, with one that is not ours, without two of ours
    other = Skeleton("others", names, (), (), (0.05,) * len(names))
    start = randomise(TinyNetwork((96, 64), other))
    start.save(tmp_path / "start.keras")
    still = config(learning_rate=1e-30, epochs=1, warmup_steps=0)
    train(still, data, tmp_path / "run", init=tmp_path / "start.keras")
    assert f"has no heatmaps for {', '.join(own.names[:2])}; these start anew" in capsys.readouterr().err
    ours, theirs = (
        load_network(tmp_path / "run" / "model.keras").trainable_variables,
        start.trainable_variables,
    )
    for mine, their in zip(ours[:-2], theirs[:-2], strict=True):
        np.testing.assert_allclose(mine.numpy(), their.numpy(), rtol=1e-6)
    for mine, their in zip(ours[-2:], theirs[-2:], strict=True):
        for joint, name in enumerate(own.names[2:], 2):
            np.testing.assert_allclose(
                mine.numpy()[..., joint], their.numpy()[..., names.index(name)], rtol=1e-6
            )


def test_the_configs_augmentation_is_used(data, tmp_path, monkeypatch):
    made, seen = pipeline.training_dataset, []

    def watched(*arguments, **options):
        seen.append(options.get("augmentation"))
        return made(*arguments, **options)

    monkeypatch.setattr(pipeline, "training_dataset", watched)
    chosen = Augmentation(rotation=5, scale=0.1, flip=0.25)
    train(dataclasses.replace(config(epochs=2), augmentation=chosen), data, tmp_path / "run")
    assert set(seen) == {chosen}
