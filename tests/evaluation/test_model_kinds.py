"""One network, saved in four ways, measures the same; weights alone need to know their network."""

import dataclasses
import json
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import synthetic_people
from helpers import randomise
from synthetic_people import SKELETON

from flpn_tf.convert import tflite
from flpn_tf.convert.serving.export import export
from flpn_tf.errors import InputError
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.runtime.images import read_image
from flpn_tf.spec import PoseSpec
from flpn_tf.training.config import Config, ModelConfig
from flpn_tf.training.config_file import dump_config
from flpn_tf.training.networks import build_model, load_weights

# FLPN's stem and head around plain bottlenecks: converted in a few seconds.
NETWORK = ModelConfig(block="standard", width=0.0625, head_filters=16, image_size=(64, 64))
PEOPLE = 8
KINDS = ("run/n.keras", "run/n.weights.h5", "saved", "n.tflite")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with the network in all kinds of file."""
    folder = tmp_path_factory.mktemp("models")
    network = randomise(build_model(NETWORK, SKELETON))
    run = folder / "run"
    run.mkdir()
    network.save(run / "n.keras")
    network.save_weights(run / "n.weights.h5")
    (run / "config.yaml").write_text(dump_config(Config(model=NETWORK)))
    export(network, folder / "saved")
    tflite.convert_file(network, "float32", folder / "n.tflite")
    return folder


@pytest.fixture(scope="module")
def people(models, tmp_path_factory):
    """Photos of nothing, whose truth is near what the network finds: its numbers are neither 0 nor 100."""
    rng = np.random.default_rng(7)
    content = synthetic_people.document(PEOPLE)
    folder = synthetic_people.write(tmp_path_factory.mktemp("data") / "people", content)
    estimator = PoseEstimator(models / "n.tflite")
    for image, annotation in zip(content["images"], content["annotations"], strict=True):
        path = folder / "images" / image["file_name"]
        coarse = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (synthetic_people.WIDTH, synthetic_people.HEIGHT)))
        # As the readers do, sides shrunk by a pixel.
        x, y, w, h = annotation["bbox"]
        pose = estimator.estimate(read_image(path), [[x, y, w - 1, h - 1]]).keypoints[0]
        pose[:, :2] += rng.normal(scale=8, size=(7, 2))
        pose[:, 2] = 2
        annotation |= {"keypoints": pose.ravel().tolist(), "area": 5000.0}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


def test_every_kind_of_file_measures_the_same(models, people):
    results = {kind: evaluate(models / kind, people).result for kind in KINDS}
    first = results["n.tflite"]
    assert 10 < first["metrics"]["AP"] < 90
    assert 10 < first["metrics"]["PCK@0.2"] < 90
    own = ("metrics", "errors", "model", "model_sha256", "config_sha256")
    for kind, result in results.items():
        assert result["metrics"] == pytest.approx(first["metrics"], abs=1e-2), kind
        assert result["errors"]["all"] == pytest.approx(first["errors"]["all"], abs=1e-2)
        assert {k: v for k, v in result.items() if k not in own} == {
            k: v for k, v in first.items() if k not in own
        }
    assert [kind for kind, result in results.items() if result["config_sha256"]] == ["run/n.weights.h5"]
    assert len({result["model_sha256"] for result in results.values()}) == 4
    assert [result["model"] for result in results.values()] == [
        "n.keras",
        "n.weights.h5",
        "saved/1",
        "n.tflite",
    ]


def test_weights_with_a_config_elsewhere(models, tmp_path):
    weights = tmp_path / "last.weights.h5"
    weights.write_bytes((models / "run" / "n.weights.h5").read_bytes())
    network = load_weights(weights, models / "run" / "config.yaml", SKELETON)
    assert network.skeleton == SKELETON
    assert network.weights_sha256() == PoseSpec.read_from_tflite(models / "n.tflite").weights_sha256


BAD_WEIGHTS = {
    "no such file": ("none.weights.h5", None, "none.weights.h5: there is no such file"),
    "no config": ("n.weights.h5", None, "n.weights.h5: weights alone do not say which network they are of"),
    "no such config": ("n.weights.h5", "none.yaml", "Received: none.yaml, which is not there"),
    "another width": (
        "n.weights.h5",
        "wide.yaml",
        "n.weights.h5: are no weights of the network in wide.yaml",
    ),
    "an unknown key": ("n.weights.h5", "text.yaml", "text.yaml: unknown key widht"),
    "no weights": (
        "text.weights.h5",
        "wide.yaml",
        "text.weights.h5: are no weights of the network in wide.yaml",
    ),
}


@pytest.mark.parametrize(("path", "config", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_bad_weights(models, people, tmp_path, monkeypatch, path, config, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "n.weights.h5").write_bytes((models / "run" / "n.weights.h5").read_bytes())
    (tmp_path / "text.weights.h5").write_text("not weights")
    wide = dataclasses.replace(NETWORK, width=0.125)
    (tmp_path / "wide.yaml").write_text(dump_config(Config(model=wide)))
    (tmp_path / "text.yaml").write_text("widht: 5")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        evaluate(path, people, config=config)
    assert "\n" not in str(caught.value)


def test_bad_weights_on_the_command_line_are_one_line(people, tmp_path):
    (tmp_path / "n.weights.h5").write_bytes(b"")
    command = [sys.executable, "-m", "flpn_tf", "evaluate", "n.weights.h5", str(people), "--json", "r.json"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 2
    assert ran.stderr.startswith("flpn: error: n.weights.h5: weights alone do not say which network")
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "r.json").exists()


def test_weights_without_keras_name_the_extra(models, people, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "flpn_tf.training.networks")
    with pytest.raises(InputError, match=r"pip install 'flpn-tf\[train\]'"):
        evaluate(models / "run" / "n.weights.h5", people)
