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
    assert [line.split()[0] for line in said.out.splitlines()[1:3]] == ["block", "block"]
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
        (("MODEL", "DATA", "--people", "9", "--layers", "block"), "needs 9 people; .* Received: 8"),
        (("MODEL", "DATA", "--people", "0"), "must be 1 or more"),
        (("MODEL", "DATA", "--threshold", "2"), "threshold must be above 0 and at most 1. Received: 2"),
        (("MODEL", "DATA", "--choose", "2,x"), "whole numbers between commas. Received: 2,x"),
        (("MODEL", "DATA"), "no layer's name matches.*--layers.*Received: "),
        (("MODEL", "DATA", *SMALL, "--config", "found.yaml"), "--config needs 4 stages.*Received: block"),
        (("MODEL", "DATA", *SMALL, "--config", "found.txt"), "must end in .yaml"),
        (("MODEL", "DATA", *SMALL, "--json", "MODEL"), "would overwrite"),
        (("MODEL", "DATA", *SMALL, "--figures", "MODEL"), "--figures must be a folder"),
        (("MODEL", "DATA", *SMALL, "--figures", "a/b"), "parent folder does not exist"),
        (("MODEL", "DATA", "--epochs", "3"), "are of --search"),
        (("MODEL", "DATA", "--search"), "--search takes neither"),
    ],
)
def test_refusals(arguments, said, small, people, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = small.read_bytes()
    names = {"MODEL": str(small), "DATA": str(people)}
    assert exit_code(monkeypatch, "ratios", *(names.get(part, part) for part in arguments)) == 2
    found = capsys.readouterr()
    assert found.out == ""
    last = found.err.splitlines()[-1]
    assert last.startswith("flpn: error: ")
    assert re.search(said, last), last
    assert list(tmp_path.iterdir()) == []
    assert small.read_bytes() == before
