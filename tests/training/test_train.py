"""What a run leaves behind, however it ends."""

import csv
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest
import synthetic_people
import tensorflow as tf
import tiny_network
from helpers import randomise
from tiny_network import TinyNetwork

from flpn_tf.data import pipeline
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.prepare import prepare
from flpn_tf.data.stored_photo import StoredPhoto
from flpn_tf.errors import InputError
from flpn_tf.models.load import load_network
from flpn_tf.skeleton import Skeleton
from flpn_tf.training import callbacks, fit, run_config
from flpn_tf.training.callbacks import Progress, WholeEpoch
from flpn_tf.training.checkpoint import Place, save_atomically
from flpn_tf.training.config import (
    ComputeConfig,
    Config,
    ModelConfig,
    ScheduleConfig,
    TeacherConfig,
    ValidationConfig,
)
from flpn_tf.training.config_file import load_config
from flpn_tf.training.fit import train
from flpn_tf.training.networks import build_model

pytestmark = pytest.mark.usefixtures("tiny")

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


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The folder of an uninterrupted run."""
    output = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "build_model", tiny_network.build)
        assert train(config(), data, output) == output / "model.keras"
    return output


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of it to spoil."""
    return shutil.copytree(finished, tmp_path / "run")


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
    assert seen == [chosen]


def refused(message, *arguments, **options):
    with pytest.raises(InputError) as caught:
        train(*arguments, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_init_of_other_layers_is_refused(data, tmp_path):
    build_model(ModelConfig(image_size=(64, 64), width=0.25), synthetic_people.SKELETON).save(
        tmp_path / "other.keras"
    )
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
        refused("another process trains into it", config(), data, copied)
    finally:
        os.close(held)
    train(config(), data, copied)


def test_a_batch_too_large_for_the_memory(data, tmp_path, monkeypatch):
    def exhausted(self, epoch, logs=None):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(WholeEpoch, "on_epoch_begin", exhausted)
    refused("memory is too small for a batch; lower schedule.batch_size", config(), data, tmp_path / "run")
