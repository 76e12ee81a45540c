"""`flpn ratios MODEL DATA` as a user runs it."""

import json
import re

import cv2
import keras
import numpy as np
import pytest
import small_network
import synthetic_people
from helpers import exit_code, randomise

from flpn_tf.models import FLPN
from flpn_tf.redundancy.figures import FILES
from flpn_tf.training.config import ModelConfig
from flpn_tf.training.config_file import load_config
from flpn_tf.training.networks import build_model

SMALL = ("--people", "6", "--layers", "block")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return synthetic_people.write(tmp_path_factory.mktemp("ratios") / "people", synthetic_people.document())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A `.keras` of one block, named "block"."""
    path = tmp_path_factory.mktemp("ratios") / "small.keras"
    model = randomise(small_network.build(ModelConfig(image_size=(64, 64)), synthetic_people.SKELETON))
    model.save(path)
    return path


@pytest.fixture(scope="module")
def four_stages(tmp_path_factory):
    path = tmp_path_factory.mktemp("ratios") / "four.keras"
    skeleton = synthetic_people.SKELETON
    FLPN(block="standard", width=0.125, image_size=(96, 96), skeleton=skeleton, head_filters=32).save(path)
    return path


def test_table_and_json(small, people, tmp_path, monkeypatch, capsys):
    out = tmp_path / "found.json"
    assert exit_code(monkeypatch, "ratios", small, people, *SMALL, "--json", out) == 0
    said = capsys.readouterr()
    assert said.out.startswith("small.keras, 6 people of people/annotations.json, seed 0, SSIM from 0.8 on")
    lines = said.out.splitlines()
    assert (lines[2].split()[:2], lines[3]) == (["block", "128"], "")  # the stage alone: it is one layer
    assert "6/6 crops" in said.err
    found = json.loads(out.read_text())
    assert (found["model"], found["people"], found["threshold"]) == ("small.keras", 6, 0.8)
    assert found["data"] == "people/annotations.json"
    (layer,), (stage,) = found["layers"], found["stages"]
    assert (layer["channels"], layer["height"], layer["width"], layer["filter_size"]) == (128, 8, 8, 7)
    assert layer["pairs"] == 128 * 127 / 2
    assert stage["ratio"] in (2, 4, 8, 16)
    assert sum(layer["similarity"]["histogram"]) == pytest.approx(1, abs=1e-4)
    assert list(found["stages"][0]["intrinsic_at"].values()) == sorted(stage["intrinsic_at"].values())


def test_options_reach_the_measurement(small, people, monkeypatch, capsys):
    found = {}
    for name, options in {
        "plain": (),
        "again": (),
        "untrained": ("--random-weights",),
        "threshold": ("--threshold", "0.05", "--choose", "3,5"),
        "window": ("--filter-size", "3"),
        "sampled": ("--pairs", "600"),
        "seed": ("--seed", "1"),
    }.items():
        assert exit_code(monkeypatch, "ratios", small, people, *SMALL, *options, "--json", "-") == 0
        found[name] = json.loads(capsys.readouterr().out)
    plain = found["plain"]
    assert found["again"] == plain
    means = {name: result["layers"][0]["similarity"]["mean"] for name, result in found.items()}
    for name in ("untrained", "window", "sampled", "seed"):
        assert abs(means[name] - means["plain"]) > 1e-4, name
    assert means["threshold"] == means["plain"]
    assert found["threshold"]["layers"][0]["intrinsic"] < plain["layers"][0]["intrinsic"]
    assert found["threshold"]["stages"][0]["ratio"] in (3, 5)
    assert found["window"]["layers"][0]["filter_size"] == 3
    assert found["sampled"]["layers"][0]["sampled"]
    assert found["untrained"]["random_weights"]


def test_the_config_is_one_that_training_takes(four_stages, people, tmp_path, monkeypatch, capsys):
    out = tmp_path / "found.yaml"
    options = ("--people", "2", "--threshold", "1e-9", "--json", "-", "--config", out)
    assert exit_code(monkeypatch, "ratios", four_stages, people, *options) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    model = load_config(out).model
    assert list(model.ratios) == [stage["ratio"] for stage in stages]
    assert 16 in model.ratios  # so alike do so low a threshold make them
    assert (model.width, model.image_size, model.head_filters) == (0.125, (96, 96), 32)
    assert "# Smart blocks in place of its standard ones." in out.read_text()
    network = build_model(model, synthetic_people.SKELETON)
    assert (network.block, network.ratios) == ("smart", model.ratios)


def test_pictures(small, people, tmp_path, monkeypatch):
    folder = tmp_path / "figures"
    for options in ((), ("--pairs", "600")):
        assert exit_code(monkeypatch, "ratios", small, people, *SMALL, "--figures", folder, *options) == 0
        assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
        for path in folder.iterdir():
            picture = cv2.imread(str(path))
            assert min(picture.shape[:2]) > 100
            assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_a_picture_that_cannot_be_written_is_known_at_once(small, people, tmp_path, monkeypatch, capsys):
    (tmp_path / "maps.png").mkdir()
    assert exit_code(monkeypatch, "ratios", small, people, *SMALL, "--figures", tmp_path) == 2
    assert "is a folder; give a file name in it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["maps.png"]


@pytest.mark.parametrize("stages", [1, 4, 6])
def test_pictures_of_any_number_of_stages_and_of_copies(stages, people, tmp_path, monkeypatch, capsys):
    image = keras.Input((24, 24, 3))
    layers = [keras.layers.Conv2D(6, 3, name=f"s{stage}_a") for stage in range(stages)]
    model = keras.Model(image, [layer(image) for layer in layers])
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 2))
    for layer in layers:
        layer.set_weights([np.concatenate([kernel, kernel, 2 * kernel], axis=-1), np.zeros(6)])
    model.save(tmp_path / "copies.keras")
    arguments = (tmp_path / "copies.keras", people, "--people", "3", "--layers", r"(s\d)_a", "--json", "-")
    options = ("--figures", tmp_path / "figures", "--threshold", 1)
    assert exit_code(monkeypatch, "ratios", *arguments, *options) == 0
    found = json.loads(capsys.readouterr().out)["stages"]
    assert [stage["intrinsic"] * 6 for stage in found] == pytest.approx([2] * stages)
    assert [stage["similarity"]["max"] for stage in found] == pytest.approx([1] * stages, abs=1e-6)
    assert max(stage["similarity"]["max"] for stage in found) <= 1
    assert [sum(stage["similarity"]["histogram"]) for stage in found] == pytest.approx([1] * stages, abs=1e-5)
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(FILES)


def test_a_sequential_model(people, tmp_path, monkeypatch, capsys):
    layers = [keras.Input((32, 32, 3)), *(keras.layers.Conv2D(4, 3, name=name) for name in "ab")]
    keras.Sequential(layers).save(tmp_path / "s.keras")
    arguments = (tmp_path / "s.keras", people, "--people", "2", "--layers", "[ab]", "--json", "-")
    for options in ((), ("--random-weights",)):
        assert exit_code(monkeypatch, "ratios", *arguments, *options) == 0
        stages = json.loads(capsys.readouterr().out)["stages"]
        assert [stage["stage"] for stage in stages] == ["a", "b"]


def test_a_config_without_the_context_block(people, tmp_path, monkeypatch):
    network = FLPN(global_context=False, width=0.125, image_size=(96, 96), skeleton=synthetic_people.SKELETON)
    network.save(tmp_path / "nogc.keras")
    arguments = (tmp_path / "nogc.keras", people, "--people", "2", "--config", tmp_path / "out.yaml")
    assert exit_code(monkeypatch, "ratios", *arguments) == 0
    assert load_config(tmp_path / "out.yaml").model.global_context is False


def test_any_keras_model_with_named_stages(people, tmp_path, monkeypatch, capsys):
    image = keras.Input((32, 32, 3))
    x = image
    for stage in (1, 2):
        x = keras.layers.Conv2D(8, 3, 2, name=f"conv{stage}_block1_out")(x)
    keras.Model(image, x, name="other").save(tmp_path / "other.keras")
    arguments = (tmp_path / "other.keras", people, "--people", "3", "--json", "-")
    assert exit_code(monkeypatch, "ratios", *arguments, "--layers", r"(conv\d)_block\d_out") == 0
    found = json.loads(capsys.readouterr().out)
    assert [stage["stage"] for stage in found["stages"]] == ["conv1", "conv2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give a model and a data set, or --search"),
        (("MODEL",), "give a model and a data set, or --search"),
        (("missing.keras", "DATA"), "missing.keras: there is no such file"),
        (("flpn50-standard", "DATA"), "flpn50-standard: is an architecture without weights"),
        (("MODEL", "missing"), "missing: a data set is a folder with"),
        (
            ("MODEL", "DATA", "--people", "9", "--layers", "block"),
            "8 people; lower --people. Received: 9",
        ),
        (("MODEL", "DATA", "--people", "0"), "must be 1 or more"),
        (("MODEL", "DATA", "--threshold", "2"), "threshold must be above 0 and at most 1. Received: 2"),
        (("MODEL", "DATA", "--choose", "2,x"), "whole numbers between commas. Received: 2,x"),
        (("MODEL", "DATA"), "no layer's name matches.*--layers.*Received: "),
        (
            ("MODEL", "DATA", *SMALL, "--config", "found.yaml"),
            "FLPN's 4 stages. Received: SmallN",
        ),
        (("MODEL", "DATA", *SMALL, "--config", "found.txt"), "must end in .yaml"),
        (("MODEL", "DATA", *SMALL, "--json", "MODEL"), "would overwrite"),
        (("MODEL", "DATA", *SMALL, "--json", "DATA/images/0.png"), "a file among the photos"),
        (("MODEL", "DATA", *SMALL, "--figures", "MODEL"), "--figures must be a folder"),
        (("MODEL", "DATA", *SMALL, "--figures", "a/b"), "parent folder does not exist"),
        (("MODEL", "DATA", "--epochs", "3", "--list", "x"), "--epochs, --list: only with --search"),
        (("MODEL", "--data", "DATA"), "--data: only with --search"),
        (("MODEL", "DATA", "--search", "--seed", "0"), "--seed, DATA, MODEL: not with --search"),
    ],
)
def test_refusals(arguments, said, small, people, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = small.read_bytes()
    names = {"MODEL": str(small), "DATA": str(people)}
    arguments = [
        part.replace("DATA", names["DATA"]) if "/" in part else names.get(part, part) for part in arguments
    ]
    assert exit_code(monkeypatch, "ratios", *arguments) == 2
    found = capsys.readouterr()
    assert found.out == ""
    last = found.err.splitlines()[-1]
    assert last.startswith("flpn: error: ")
    assert re.search(said, last), last
    assert list(tmp_path.iterdir()) == []
    assert small.read_bytes() == before
