"""Pre-training as a classifier, and what a pose network takes from it."""

import csv
import json
import os
import shutil
import subprocess
import sys

import cv2
import keras
import numpy as np
import plain_network
import pytest
import small_network
import synthetic_people
from helpers import REPOSITORY, randomise, run_python

from flpn_tf import cli
from flpn_tf.data.class_folders import ImageAugmentation, read_class_folders, validation_batches
from flpn_tf.errors import InputError
from flpn_tf.models import FLPN, LPN, Classifier
from flpn_tf.models.classifier import backbone_layers
from flpn_tf.models.load import bare, load_network
from flpn_tf.training import callbacks, fit, pretrain
from flpn_tf.training.config import ComputeConfig, Config, ModelConfig, ScheduleConfig
from flpn_tf.training.config_file import load_config
from flpn_tf.training.initialise import initialise
from flpn_tf.training.pretrain import PretrainConfig

COLOURS = {"blue": (40, 80, 220), "green": (40, 200, 60), "red": (220, 50, 40)}
STEPS = 3  # an epoch: 24 images in batches of 8


def draw(folder, count, seed=0):
    """Discs on noise; the class is the colour."""
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = rng.integers(0, 255, (40, 48, 3), np.uint8)
            centre = rng.integers(15, 25, 2).tolist()
            cv2.circle(image, centre, 12, colour[::-1], -1)  # OpenCV writes BGR
            cv2.imwrite(str(folder / name / f"{number}.png"), image)


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """24 to train on, 6 to measure on."""
    folder = tmp_path_factory.mktemp("discs")
    draw(folder / "train", 8)
    draw(folder / "val", 2, seed=1)
    return folder


@pytest.fixture
def small(monkeypatch):
    """One of each of FLPN's layers in FLPN's place."""
    monkeypatch.setattr(pretrain, "build_model", small_network.build)
    monkeypatch.setattr(fit, "build_model", small_network.build)


def config(compute=None, **schedule):
    values = {"epochs": 8, "batch_size": 8, "learning_rate": 0.01, "schedule": "cosine", "ema": 0.5}
    return PretrainConfig(
        ModelConfig(image_size=(32, 32)),
        ImageAugmentation(scale=(0.6, 1.0)),
        ScheduleConfig(**values | schedule),
        compute or ComputeConfig(),
    )


@pytest.fixture(scope="module")
def finished(discs, tmp_path_factory):
    """The folder of an uninterrupted run."""
    output = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain, "build_model", small_network.build)
        assert pretrain.pretrain(config(), discs, output) == output / "model.keras"
    return output


def log(output):
    with (output / "log.csv").open() as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def classifier_of(path):
    return load_network(path, kinds=(Classifier,))


def test_it_learns_the_classes(finished):
    rows = log(finished)
    assert len(rows) == 8
    assert rows[-1]["loss"] < rows[0]["loss"] / 2
    assert rows[-1]["accuracy"] > 0.8
    assert rows[-1]["val_accuracy"] == 1


def test_what_the_run_leaves(finished):
    files = ["checkpoint.keras", "config.yaml", "log.csv", "model.keras", "run.json"]
    assert sorted(path.name for path in finished.iterdir()) == files
    assert load_config(finished / "config.yaml", kind=PretrainConfig) == config()
    model = classifier_of(finished / "model.keras")
    assert not model.compiled
    assert model.classes == ("blue", "green", "red")


def test_the_log_measures_the_delivered_model(finished, discs):
    """Its moving average, on the images of val."""
    model = classifier_of(finished / "model.keras")
    _, measured = read_class_folders(discs)
    ((crops, labels),) = validation_batches(measured, (32, 32), 6).as_numpy_iterator()
    found = model.predict_on_batch(crops)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == labels).mean() == log(finished)[-1]["val_accuracy"]


@pytest.mark.slow
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    small, finished, discs, tmp_path, monkeypatch, capsys
):
    """Stopped in the second epoch, behind a checkpoint within it."""
    ended = callbacks.Progress.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        ended(self, batch, logs)
        if self.done == STEPS + 3:
            raise KeyboardInterrupt

    often = config(ComputeConfig(checkpoint_steps=STEPS + 2))
    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Progress, "on_train_batch_end", on_train_batch_end)
        with pytest.raises(KeyboardInterrupt):
            pretrain.pretrain(often, discs, tmp_path / "run")
    pretrain.pretrain(often, discs, tmp_path / "run")
    assert "24 images, 3 steps an epoch" in capsys.readouterr().err
    for row, other in zip(log(tmp_path / "run"), log(finished), strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert row["val_accuracy"] == other["val_accuracy"]
    one, other = (classifier_of(folder / "model.keras") for folder in (tmp_path / "run", finished))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)


def test_a_pose_run_begins_with_the_backbone(small, finished, tmp_path, capsys):
    """Of another input size, through `flpn train --init`; the run itself changes nothing."""
    data = synthetic_people.write(tmp_path / "people", synthetic_people.document())
    still = ScheduleConfig(epochs=1, batch_size=4, learning_rate=1e-30, drops=(), freeze_batch_norm=True)
    settings = Config(ModelConfig(image_size=(64, 64)), schedule=still)
    path = fit.train(settings, data, tmp_path / "run", init=finished / "model.keras")
    said = "takes the backbone of a classifier of 3 classes: 3 layers; the head starts anew"
    assert f"{finished / 'model.keras'}: {said}" in capsys.readouterr().err
    ours = backbone_layers(load_network(path))
    theirs = backbone_layers(classifier_of(finished / "model.keras"))
    assert list(ours) == ["stem_1", "stem_2", "block"]
    for name, layer in ours.items():
        for mine, their in zip(layer.get_weights(), theirs[name].get_weights(), strict=True):
            np.testing.assert_allclose(mine, their, rtol=1e-6)


def narrow(**changes):
    return FLPN(**{"width": 0.25, "head_filters": 32, "image_size": (64, 64)} | changes)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A classifier of the narrow FLPN's backbone, its file, and its pixels' probabilities."""
    model = randomise(Classifier(narrow(), ["cat", "dog"], name="classifier"))
    path = tmp_path_factory.mktemp("saved") / "classifier.keras"
    model.save(path)
    return model, path


def test_flpn_takes_every_layer_but_the_head_by_name(saved, capsys):
    source, path = saved
    model = narrow(image_size=(96, 64), keypoints=5)
    before = {layer.name: layer.get_weights() for layer in model.layers}
    initialise(model, path)
    assert "a classifier of 2 classes: 18 layers; the head starts anew" in capsys.readouterr().err
    taken = []
    for layer in model.layers:
        head = layer.name.startswith(("deconv", "heatmaps"))
        expected = before[layer.name] if head else source.get_layer(layer.name).get_weights()
        for mine, their in zip(layer.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(mine, their)
        taken += [layer.name] * (not head and bool(expected))
    assert len(taken) == len(backbone_layers(source)) == 18
    assert np.abs(before["stem_1"][0] - model.get_layer("stem_1").get_weights()[0]).max() > 0.01


def test_it_loads_with_flpn_tf_alone(saved, tmp_path):
    model, path = saved
    code = f"""
        import flpn_tf, keras, numpy
        model = keras.models.load_model({str(path)!r})
        pixels = numpy.arange(64 * 64 * 3).reshape(1, 64, 64, 3) % 256
        print(*model.classes, *model.predict_on_batch(pixels)[0])
    """
    *classes, cat, dog = run_python(code, tmp_path).split()
    pixels = np.arange(64 * 64 * 3).reshape(1, 64, 64, 3) % 256
    assert classes == ["cat", "dog"]
    np.testing.assert_allclose([float(cat), float(dog)], model.predict_on_batch(pixels)[0], rtol=1e-4)


def test_a_copy_is_the_same_model(saved):
    model, _ = saved
    copy = bare(model)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("float32")
    np.testing.assert_array_equal(copy.predict_on_batch(pixels), model.predict_on_batch(pixels))
    assert copy.get_config() == model.get_config()


def test_mixed_precision_gives_probabilities_in_float32():
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        model = Classifier(small_network.SmallNetwork((32, 32), None), ["a", "b", "c"])
    finally:
        keras.config.set_dtype_policy(before)
    found = model.predict_on_batch(np.full((1, 32, 32, 3), 99.0, "float32"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{"depth": 101}, {"width": 0.5}, {"block": "standard"}, {"stem": "pooled"}, {"ratios": (8, 2, 2, 2)}],
    ids=["depth", "width", "block", "stem", "ratios"],
)
def test_another_backbone_is_refused(saved, changes):
    message = "classifier.keras: the classifier's backbone is not that of the config's network"
    with pytest.raises(InputError, match=message):
        initialise(narrow(**changes), saved[1])


def test_a_deeper_classifier_is_refused(tmp_path):
    """Every layer of the shallow network is in the deep one."""
    Classifier(narrow(depth=101), ["a", "b"]).save(tmp_path / "deep.keras")
    with pytest.raises(InputError, match="the classifier's backbone is not that"):
        initialise(narrow(), tmp_path / "deep.keras")


def test_other_networks_make_classifiers_too(tmp_path):
    source = randomise(Classifier(LPN(image_size=(64, 64)), ["a", "b"]))
    source.save(tmp_path / "lpn.keras")
    model = LPN(image_size=(64, 64))
    initialise(model, tmp_path / "lpn.keras")
    assert source.get_layer("pool").input.shape == model.get_layer("deconv0").input.shape
    for name, layer in backbone_layers(source).items():
        for mine, their in zip(model.get_layer(name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, their)


def test_a_classifier_is_no_pose_network(saved):
    with pytest.raises(
        InputError, match="is a Keras model but no pose network of flpn_tf. Received: Classifier"
    ):
        load_network(saved[1])


def test_an_image_that_becomes_unreadable_is_named(small, tmp_path, monkeypatch):
    """In the second epoch, when the first checkpoint stands."""
    draw(tmp_path / "data", 8)
    bad = tmp_path / "data" / "green" / "3.png"
    monkeypatch.setattr(callbacks.Log, "amend", lambda *_: bad.write_bytes(b"text"))
    with pytest.raises(InputError) as caught:
        pretrain.pretrain(config(epochs=99), tmp_path / "data", tmp_path / "run")
    assert str(caught.value).startswith(f"{bad}: cannot be read as a JPEG or PNG")
    assert (tmp_path / "run" / "checkpoint.keras").exists()
    assert not (tmp_path / "run" / "model.keras").exists()


def test_an_image_of_val_that_cannot_be_read_is_named(small, tmp_path):
    draw(tmp_path / "train", 8)
    draw(tmp_path / "val", 1)
    bad = tmp_path / "val" / "red" / "0.png"
    bad.write_bytes(b"text")
    with pytest.raises(InputError, match=f"{bad}: cannot be read"):
        pretrain.pretrain(config(), tmp_path, tmp_path / "run")


def test_a_run_of_other_images_or_another_config_is_left_alone(small, finished, discs, tmp_path):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    draw(tmp_path / "more", 9)
    draw(tmp_path / "same" / "train", 8)
    for data, settings in ((tmp_path / "more", config()), (tmp_path / "same", config(seed=1))):
        with pytest.raises(InputError, match="holds a run of another config or data set"):
            pretrain.pretrain(settings, data, finished)
    shutil.copytree(discs, tmp_path / "less")
    next((tmp_path / "less" / "val").rglob("*.*")).unlink()
    with pytest.raises(InputError, match="holds a run of another config or data set"):
        pretrain.pretrain(config(), tmp_path / "less", finished)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


BAD_INPUT = [
    ("c.yaml --data nowhere --output run", "nowhere: there is no such folder"),
    ("c.yaml --data discs/train/red --output run", "discs/train/red: holds no folders"),
    ("c.yaml --data one --output run", "one: needs a folder of images for each of two classes"),
    ("c.yaml schedule.batch_size=25 --data discs --output run", "larger than the data set of 24 images"),
    ("c.yaml compute.augment_on=device --data discs --output run", "augment_on must be auto or host"),
    ("c.yaml augmentation.rotation=4 --data discs --output run", "unknown key augmentation.rotation"),
    ("c.yaml augmentation.scale=[0,1] --data discs --output run", "augmentation.scale must be [least, most]"),
    ("c.yaml validation.every=2 --data discs --output run", "unknown key validation"),
    ("c.yaml model.image_size=[40,40] --data discs --output run", "image_size must be multiples of 32"),
    ("c.yaml --data discs --output c.yaml", "c.yaml: cannot be written"),
]


@pytest.mark.parametrize(("command", "message"), BAD_INPUT)
def test_bad_input_is_one_line(discs, tmp_path, monkeypatch, capsys, command, message):
    (tmp_path / "discs").symlink_to(discs)
    (tmp_path / "one" / "red").mkdir(parents=True)
    settings = {"model": {"width": 0.25, "image_size": [32, 32]}, "schedule": {"batch_size": 8}}
    (tmp_path / "c.yaml").write_text(json.dumps(settings))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["flpn", "pretrain", *command.split()])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    out, error = capsys.readouterr()
    line = error.splitlines()[-1]
    assert out == ""
    assert line.startswith("flpn: error: ")
    assert message in line
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_same_under_jax(discs, tmp_path):
    """The command, in a process of its own; what it logs of the validation is true of its model."""
    pytest.importorskip("jax")
    settings = {
        "model": {"image_size": [32, 32]},
        "augmentation": {"scale": [0.6, 1.0]},
        "schedule": {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "schedule": "cosine"},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(settings))
    paths = [str(REPOSITORY), *filter(None, sys.path)]
    process = subprocess.run(
        [sys.executable, plain_network.__file__, *f"pretrain c.yaml --data {discs} --output run".split()],
        cwd=tmp_path,
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert (process.returncode, process.stdout) == (0, "run/model.keras\n"), process.stderr
    rows = log(tmp_path / "run")
    assert rows[-1]["loss"] < rows[0]["loss"]
    _, measured = read_class_folders(discs)
    ((crops, labels),) = validation_batches(measured, (32, 32), 6).as_numpy_iterator()
    found = classifier_of(tmp_path / "run" / "model.keras").predict_on_batch(crops).argmax(axis=1)
    assert (found == labels).mean() == rows[-1]["val_accuracy"]
