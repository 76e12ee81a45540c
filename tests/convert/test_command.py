"""`flpn convert` and `flpn export` as a user runs them."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from flpn_tf.spec import PoseSpec


def flpn(*arguments, cwd):
    command = [sys.executable, "-m", "flpn_tf", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def saved(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("command") / "small.keras"
    network.save(path)
    return path


def test_converted_model_draws_a_pose(saved, tmp_path):
    converted = flpn("convert", saved, "small.tflite", "--to", "float32", cwd=tmp_path)
    assert converted.returncode == 0, converted.stderr
    assert PoseSpec.read_from_tflite(tmp_path / "small.tflite").name == "small"
    photo = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    result = flpn("pose", "photo.png", "--model", "small.tflite", "--json", "-", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)["people"]) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["convert", "missing.keras", "a.tflite"], "missing.keras"),
        (["convert", "text.keras", "a.tflite"], "text.keras"),
        (["convert", "other.keras", "a.tflite"], "no pose network"),
        (["convert", "small.keras", "a.bin"], ".tflite"),
        (["convert", "small.keras", "nowhere/a.tflite"], "nowhere"),
        (["convert", "small.keras", "a.tflite", "--to", "int8"], "calibration"),
        (["convert", "small.keras", "a.tflite", "--to", "int4"], "int4"),
        (["convert", "small.keras", "a.tflite", "--to", "int8", "--calibrate", "missing"], "missing"),
        (["export", "small.keras", "small.keras"], "exists already"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(saved, tmp_path, monkeypatch, capsys, arguments, message):
    import keras

    from flpn_tf import cli

    (tmp_path / "small.keras").symlink_to(saved)
    (tmp_path / "text.keras").write_text("not a model")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["flpn", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
