"""What a run refuses, what ends it, and what it measures."""

import csv
import dataclasses
import fcntl
import hashlib
import json
import os

import keras
import numpy as np
import pytest
import small_network
import synthetic_people
import tensorflow as tf
from runs import (
    BEGUN,
    STEPS,
    config,
    contents,
    epochs_done,
    interrupt,
    losses,
    names,
    refused,
    stop_after,
)
from tiny_network import TinyNetwork

from flpn_tf.data import pipeline
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.prepare import prepare
from flpn_tf.data.stored_photo import StoredPhoto
from flpn_tf.models.load import load_network
from flpn_tf.skeleton import Skeleton
from flpn_tf.training import callbacks, run_config
from flpn_tf.training.callbacks import Progress, WholeEpoch
from flpn_tf.training.checkpoint import Place, save_atomically
from flpn_tf.training.config import (
    ComputeConfig,
    ModelConfig,
    TeacherConfig,
    ValidationConfig,
)
from flpn_tf.training.fit import train

pytestmark = pytest.mark.usefixtures("tiny")


def test_init_of_other_layers_is_refused(data, tmp_path):
    other = small_network.build(ModelConfig(image_size=(64, 64)), synthetic_people.SKELETON)
    other.save(tmp_path / "other.keras")
    refused(
        "other.keras: its layers are not those",
        config(),
        data,
        tmp_path / "run",
        init=tmp_path / "other.keras",
    )
    assert not (tmp_path / "run").exists()


def test_a_batch_larger_than_the_data(data, tmp_path):
    message = "larger than the data set of 8 people; make it smaller. Received: 9"
    refused(message, config(batch_size=9), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"epochs": 3}, {"epochs": 9}, {"seed": 3}])
def test_a_run_of_another_config_is_left_alone(copied, data, changes):
    before = contents(copied)
    refused("holds a run of another config or data set", config(**changes), data, copied)
    assert contents(copied) == before


def test_a_run_on_other_data_is_left_alone(copied, tmp_path):
    others = synthetic_people.write(tmp_path / "others", synthetic_people.document(seed=5))
    refused("holds a run of another config or data set", config(), others, copied)


@pytest.mark.parametrize("damage", ["emptied", "halved", "garbled", "a folder"])
def test_a_damaged_checkpoint_is_named(copied, data, damage):
    path = copied / "checkpoint.keras"
    content = path.read_bytes()
    half = len(content) // 2
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage == "garbled":
        path.write_bytes(content[:half] + b"?" * 999 + content[half + 999 :])
    else:
        path.write_bytes(content[: half if damage == "halved" else 0])
    refused("checkpoint.keras: ", config(), data, copied)


def test_a_checkpoint_of_another_network_is_named(copied, data):
    """As another version of the package might have left it."""
    other = TinyNetwork((64, 64), Skeleton("others", ("tail",), (), (), (0.05,)))
    other.compile(keras.optimizers.Adam(), loss="mse")
    other.optimizer.build(other.trainable_variables)
    save_atomically(other, copied / "checkpoint.keras", Place(4, 0.0))
    refused("checkpoint.keras: is no checkpoint of this run", config(), data, copied)


def test_a_read_only_output(data, copied, monkeypatch):
    (copied / "model.keras").unlink()

    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_config, "write_atomically", refuse)  # root may write into any folder
    refused(f"{copied}: cannot be written (Permission denied)", config(), data, copied)
    assert epochs_done(copied) == 4


def test_an_output_that_cannot_be_made(data, tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "run"):
        refused("cannot be written", config(), data, output)


def test_a_full_disk_keeps_the_last_checkpoint(data, tmp_path, monkeypatch):
    saved = TinyNetwork.save

    def save(self, path, **options):
        saved(self, path, **options)
        if int(self.optimizer.iterations) > STEPS:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(TinyNetwork, "save", save)
    output = tmp_path / "run"
    refused(f"{output}: cannot be written (No space left on device)", config(), data, output)
    assert names(output) == BEGUN
    assert epochs_done(output) == 1


def test_saving_is_whole_or_not_at_all(tmp_path, monkeypatch):
    model = TinyNetwork((64, 64), synthetic_people.SKELETON)
    target = tmp_path / "model.keras"
    save_atomically(model, target)
    before = target.read_bytes()

    def interrupted(self, path, **options):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(TinyNetwork, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_atomically(model, target)
    assert target.read_bytes() == before
    assert names(tmp_path) == ["model.keras"]


def test_a_loss_that_is_no_number_ends_the_run(data, tmp_path, monkeypatch):
    made = pipeline.training_dataset

    def poisoned(*arguments, first_step=0, **options):
        def spoil(step, batch):
            crops, heatmaps, weights = batch
            return crops, tf.where(step == STEPS + 1, np.nan, heatmaps), weights

        return made(*arguments, first_step=first_step, **options).enumerate(first_step).map(spoil)

    monkeypatch.setattr(pipeline, "training_dataset", poisoned)
    output = tmp_path / "run"
    refused("the loss is not finite at step 2 of epoch 2", config(), data, output)
    assert names(output) == sorted([*BEGUN, "not_finite_batch.npz"])
    with np.load(output / "not_finite_batch.npz") as batch:
        assert batch["images"].shape == (4, 64, 64, 3)
        assert np.isnan(batch["targets"]).all()
        assert batch["weights"].shape == (4, 7)
    assert epochs_done(output) == 1
    assert all(np.isfinite(w).all() for w in load_network(output / "checkpoint.keras").get_weights())


def test_weights_that_are_no_numbers_never_reach_the_checkpoint(data, tmp_path, monkeypatch):
    """An epoch's last update comes after its loss."""

    def spoil(progress):
        kernel = progress.model.trainable_variables[0]
        kernel.assign(np.full(kernel.shape, np.inf))

    stop_after(monkeypatch, 2 * STEPS, spoil)
    output = tmp_path / "run"
    refused("kernel is not finite at the end of epoch 2", config(), data, output)
    assert names(output) == sorted([*BEGUN, "not_finite_batch.npz"])
    assert epochs_done(output) == 1


def test_progress_tells_place_speed_and_time_left(capsys, monkeypatch):
    clock = iter([0.0, 10.0, 12.0, 14.0])
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(clock))
    progress = Progress(batch_size=6, steps=40, epochs=10, seconds=3)
    progress.set_params({"steps": 40})
    progress.on_train_begin()
    progress.on_epoch_begin(8)
    for batch in range(3):
        progress.on_train_batch_end(batch, {"loss": 0.5})
    # The first step's 10 s do not count, and the third step comes too soon for another line: 78 steps of
    # 2 s are left.
    assert capsys.readouterr().err == "epoch 9/10 step 2/40 loss 0.500000 3.0 img/s, 3 min to go\n"


def test_a_photo_damaged_during_the_run_is_named(tmp_path, monkeypatch):
    data = synthetic_people.write(tmp_path / "data", synthetic_people.document())
    photo = data / "images" / "3.png"
    monkeypatch.setattr(tf.data, "AUTOTUNE", 1)  # else much is read ahead
    stop_after(monkeypatch, STEPS + 1, lambda _: photo.write_bytes(b"no photo"))
    refused(str(photo), config(epochs=9), data, tmp_path / "run")
    assert 1 <= epochs_done(tmp_path / "run") < 9
    assert "model.keras" not in names(tmp_path / "run")


@pytest.mark.slow
def test_people_held_out_are_measured_and_not_trained_on(data, tmp_path, capsys):
    output = tmp_path / "run"
    settings = dataclasses.replace(config(batch_size=2), validation=ValidationConfig(2, "loss", 0.4))
    train(settings, data, output)
    error = capsys.readouterr().err
    held = sum(
        1 for i in range(8) if int(hashlib.sha256(f"{i}.png".encode()).hexdigest()[:16], 16) < 0.4 * 2**64
    )
    assert 0 < held < 8
    assert error.startswith(f"{8 - held} people, ")
    assert f"{held} people in" in error
    with (output / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [bool(row["val_loss"]) for row in rows] == [False, True, False, True]
    best = json.loads((output / "best.json").read_text())
    assert best["value"] == min(float(row["val_loss"]) for row in rows if row["val_loss"])
    assert load_network(output / "best.keras").skeleton == synthetic_people.SKELETON


def test_another_data_set_is_measured(data, tmp_path):
    other = synthetic_people.write(tmp_path / "other", synthetic_people.document(people=3, seed=9))
    settings = dataclasses.replace(config(epochs=1, warmup_steps=0), validation=ValidationConfig())
    train(settings, data, tmp_path / "run", validation=other)
    with (tmp_path / "run" / "log.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["val_AP"]) >= 0
    assert float(row["val_PCK"]) >= 0


VALIDATION_ERRORS = {
    "both": (0.4, "give either --validation or validation.holdout"),
    "nobody": (1e-9, "validation.holdout must leave people on both sides"),
}


@pytest.mark.parametrize("case", VALIDATION_ERRORS)
def test_validation_that_cannot_be(data, tmp_path, case):
    share, message = VALIDATION_ERRORS[case]
    settings = dataclasses.replace(config(), validation=ValidationConfig(holdout=share))
    refused(message, settings, data, tmp_path / "run", validation=data if case == "both" else None)
    assert not (tmp_path / "run").exists()


def test_prepared_people_cannot_be_held_out(data, tmp_path):
    prepare(data, tmp_path / "prepared", StoredPhoto(image_size=(64, 64)))
    settings = dataclasses.replace(config(), validation=ValidationConfig(holdout=0.5))
    refused("needs the annotations and photos", settings, tmp_path / "prepared", tmp_path / "run")


def test_a_teacher_is_learnt_from(finished, data, tmp_path):
    """With a weight that leaves the labels nothing, one learns what the teacher says."""
    settings = dataclasses.replace(
        config(learning_rate=1e-9, epochs=1, warmup_steps=0, freeze_batch_norm=True),
        teacher=TeacherConfig(str(finished / "model.keras"), 1e6),
        augmentation=Augmentation(0, 0, 0),
    )
    train(settings, data, tmp_path / "same", init=finished / "model.keras")
    train(settings, data, tmp_path / "other")
    assert losses(tmp_path / "same")[0] < 1e-6 * losses(tmp_path / "other")[0]


def test_a_teacher_of_other_joints_is_refused(data, tmp_path):
    other = Skeleton("others", ("tail", "paw"), (), (), (0.05, 0.05))
    TinyNetwork((64, 64), other).save(tmp_path / "teacher.keras")
    settings = dataclasses.replace(config(), teacher=TeacherConfig(str(tmp_path / "teacher.keras")))
    refused("cannot be the teacher", settings, data, tmp_path / "run")


def test_validation_that_is_never_measured(data, tmp_path):
    refused("validation.every is 0", config(), data, tmp_path / "run", validation=data)


def test_a_photo_of_the_validation_is_named(data, tmp_path):
    other = synthetic_people.write(tmp_path / "other", synthetic_people.document(people=3, seed=9))
    (other / "images" / "1.png").write_bytes(b"no photo")
    settings = dataclasses.replace(config(warmup_steps=0), validation=ValidationConfig())
    refused(str(other / "images" / "1.png"), settings, data, tmp_path / "run", validation=other)
    # What was trained before it was measured is kept.
    assert epochs_done(tmp_path / "run") == 1
    assert len(losses(tmp_path / "run")) == 1


def test_other_people_to_measure_on_are_another_run(copied, data):
    settings = dataclasses.replace(config(), validation=ValidationConfig())
    refused("holds a run of another config or data set", settings, data, copied, validation=data)


@pytest.mark.parametrize("name", ["log.csv", "run.json"])
@pytest.mark.parametrize("content", [b"", b"epoch\nfirst\n", b"\xff\xfe{", b"[1]"])
def test_damaged_records_are_named(copied, data, name, content):
    (copied / "model.keras").unlink()
    place = Place(STEPS, 0.0)
    model = load_network(copied / "checkpoint.keras", compiled=True)
    model.optimizer.iterations.assign(STEPS)
    save_atomically(model, copied / "checkpoint.keras", place)
    (copied / name).write_bytes(content)
    if name == "log.csv" and content in (b"", b"[1]"):
        train(config(), data, copied)  # of no epoch yet
        return
    refused(f"{name}: is damaged; remove it", config(), data, copied)


def test_a_checkpoint_without_its_config(copied, data):
    (copied / "config.yaml").unlink()
    refused("has a checkpoint without config.yaml", config(), data, copied)


@pytest.mark.slow
def test_overflows_of_float16_are_steps_too(data, tmp_path, monkeypatch):
    """Keras skips an update whose gradients have overflowed, and does not count it."""
    made = keras.optimizers.LossScaleOptimizer.__init__
    monkeypatch.setattr(
        keras.optimizers.LossScaleOptimizer,
        "__init__",
        lambda self, inner, **options: made(self, inner, **options | {"initial_scale": 2.0**60}),
    )
    half = dataclasses.replace(config(), compute=ComputeConfig("mixed_float16", checkpoint_steps=1))
    output = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(patch, 3, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(half, data, output)
    train(half, data, output)
    assert len(losses(output)) == 4
    assert epochs_done(output) < 4  # as the optimiser counts


def test_two_processes_do_not_train_into_one_folder(copied, data):
    held = os.open(copied, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused("another process writes into it", config(), data, copied)
    finally:
        os.close(held)
    train(config(), data, copied)


def test_a_batch_too_large_for_the_memory(data, tmp_path, monkeypatch):
    def exhausted(self, epoch, logs=None):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(WholeEpoch, "on_epoch_begin", exhausted)
    refused("memory is too small for a batch; lower schedule.batch_size", config(), data, tmp_path / "run")
