"""`flpn train … qat=true`: from a trained network to one whose int8 file computes what was measured."""

import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
import small_network
from runs import config, interrupt, losses, refused, same_weights, stop_after

from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.models.load import load_network
from flpn_tf.training import fit
from flpn_tf.training.config import ComputeConfig, Config
from flpn_tf.training.config_file import override_config
from flpn_tf.training.fit import train


@pytest.fixture(scope="module", autouse=True)
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "build_model", small_network.build)
        yield


def settings():
    return replace(config(learning_rate=1e-3, warmup_steps=0, epochs=2), qat=True)


@pytest.fixture(scope="module")
def finished(data, init, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "finished"
    train(settings(), data, output, init)
    return output


def test_trains_a_network_that_quantises(finished, init):
    first, second = losses(finished)
    assert second < first
    trained, before = load_network(finished / "model.keras"), load_network(init)
    assert trained.qat
    assert trained.has_ranges
    statistics = [
        [np.array(w) for w in model.weights if w.name.startswith("moving_")] for model in (trained, before)
    ]
    for ours, theirs in zip(*statistics, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_an_interrupted_run_goes_on(data, init, finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 3, interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(settings(), data, tmp_path / "run", init)
    train(settings(), data, tmp_path / "run", init)
    same_weights(tmp_path / "run" / "model.keras", finished / "model.keras", atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="converts by TensorFlow")
def test_int8_measures_as_the_simulation_did(finished, data, tmp_path):
    from flpn_tf.convert import tflite
    from flpn_tf.data.crops import sample_crops
    from flpn_tf.data.sources import read_people

    network = load_network(finished / "model.keras")
    people = read_people(data).records
    crops = sample_crops(people, len(people), *network.image_size, network.pose_spec().padding)
    crops = np.tile(crops, (tflite.CALIBRATION_CROPS // len(crops), 1, 1, 1))
    int8 = tflite.convert_file(network, "int8", tmp_path / "int8.tflite", crops)
    simulated, found = (evaluate(model, data).poses.keypoints for model in (finished / "model.keras", int8))
    apart = np.linalg.norm(found[..., :2] - simulated[..., :2], axis=-1)
    assert np.median(apart) < 0.5  # pixels of photos 100 wide
    assert np.abs(found[..., 2] - simulated[..., 2]).max() < 0.05


def test_refusals(data, init, tmp_path):
    refused("give it with --init", settings(), data, tmp_path / "run")
    with pytest.raises(Exception, match="qat needs compute.precision float32"):
        Config(compute=ComputeConfig(precision="mixed_bfloat16"), qat=True)
    assert not (tmp_path / "run").exists()


def test_override_without_a_section():
    assert override_config(Config(), ["qat=true"]).qat
    with pytest.raises(Exception, match="qat must be true or false"):
        override_config(Config(), ["qat=2"])


@pytest.mark.parametrize(
    "options, message",
    [
        (["qat=true", "--qat-backend", "torch"], "--qat-backend is keras, or tfmot"),
        (["--qat-backend", "tfmot"], "--qat-backend is keras, or tfmot of a config with qat"),
        (["qat=true", "--qat-backend", "tfmot", "--validation", "x"], "measures nothing in training"),
    ],
)
def test_backends_that_cannot_be(options, message, tmp_path, monkeypatch, capsys):
    from flpn_tf import cli

    (tmp_path / "config.yaml").write_text("schedule: {epochs: 1}\n")
    command = ["train", "config.yaml", *options, "--data", "people", "--output", "run"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["flpn", *command])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
