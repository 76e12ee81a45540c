"""`flpn convert` and `flpn export` as a user runs them."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import synthetic_people
from evaluation.knowing_backend import KnowingBackend
from helpers import exit_code

from flpn_tf import cli
from flpn_tf.spec import PoseSpec


def flpn(*arguments, cwd):
    command = [sys.executable, "-m", "flpn_tf", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def saved(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("command") / "small.keras"
    network.save(path)
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return synthetic_people.write(tmp_path_factory.mktemp("few") / "few", synthetic_people.document())


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Just enough to calibrate with."""
    folder = tmp_path_factory.mktemp("calibration") / "people"
    return synthetic_people.write(folder, synthetic_people.document(people=200))


@pytest.mark.slow
def test_converted_model_draws_a_pose(saved, people, tmp_path):
    converted = flpn("convert", saved, "small.tflite", "--to", "int8", "--calibrate", people, cwd=tmp_path)
    assert converted.returncode == 0, converted.stderr
    # None of the notices of TensorFlow and its converter.
    assert (converted.stdout, converted.stderr) == ("small.tflite\n", "")
    spec = PoseSpec.read_from_tflite(tmp_path / "small.tflite")
    assert (spec.name, spec.input_dtype) == ("small", "uint8")
    assert (tmp_path / "small_pose_spec.json").read_text() == spec.to_json()
    assert (tmp_path / "small_labels.txt").read_text().split() == list(spec.skeleton.names)
    photo = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    result = flpn("pose", "photo.png", "--model", "small.tflite", "--json", "-", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)["people"]) == 1


@pytest.fixture
def measured(saved, few, artefacts, tmp_path, monkeypatch):
    """The exit code of a conversion to float16, evaluated on drawn people: the network finds them, and the
    `.tflite` does so `shift` pixels beside. An older file and its copies are where it shall go."""
    from flpn_tf.convert import convert_command
    from flpn_tf.convert.layer_loss import LayerLoss

    (tmp_path / "small.keras").symlink_to(saved)
    (tmp_path / "people").symlink_to(few)
    convert_command.write_artefact(tmp_path / "m.tflite", artefacts["dynamic"].read_bytes())
    monkeypatch.chdir(tmp_path)
    # What is converted, and in which layers it loses, is not in question here.
    layers = [LayerLoss("stem_1", 30.0, 40.0)]
    monkeypatch.setattr("flpn_tf.convert.quantization_report.layer_losses", lambda *_: layers)
    monkeypatch.setattr(convert_command, "convert", lambda network, to, *_, **__: artefacts[to].read_bytes())

    def run(options, shift=0):
        backends = {".keras": KnowingBackend(), ".tflite": KnowingBackend(shift=(shift, 0))}
        monkeypatch.setattr(
            "flpn_tf.runtime.estimator.open_backend", lambda path, threads: backends[Path(path).suffix]
        )
        return exit_code(monkeypatch, "convert", "small.keras", "m.tflite", *options.split())

    return run


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_gate_lets_through_what_keeps_the_accuracy(measured, artefacts, tmp_path, capsys):
    assert measured("--evaluate people --gate 0 --report r.json") == 0
    assert (tmp_path / "m.tflite").read_bytes() == artefacts["float16"].read_bytes()
    report = json.loads((tmp_path / "r.json").read_text())
    nothing = {"value": 0, "low": 0, "high": 0}
    assert report["evaluation"]["drop"] == {"AP": nothing, "PCK@0.2": nothing}
    assert (report["gate"], report["calibration"], report["format"]) == (0, None, "float16")
    assert report["artefact"] == "m.tflite"
    assert report["layers"] == [{"layer": "stem_1", "sqnr_db": 30, "heatmaps_sqnr_db": 40}]
    out = capsys.readouterr().out.splitlines()
    assert "   PCK@0.2 100.00 -> 100.00, drop 0.00 (95 %: 0.00 to 0.00)" in out
    assert out[-1] == "m.tflite"


def test_the_gate_refuses_and_leaves_the_old_files(measured, tmp_path, capsys):
    before = contents(tmp_path)
    assert measured("--evaluate people --gate 1 --report r.json", shift=4) == 3
    after = contents(tmp_path)
    assert after.keys() - before.keys() == {"r.json"}
    assert {name: after[name] for name in before} == before
    drop = json.loads(after["r.json"])["evaluation"]["drop"]
    assert drop["AP"]["value"] > 1 >= drop["PCK@0.2"]["value"]
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("flpn: error: m.tflite: not written; float16 loses AP ")
    assert "PCK" not in error
    assert f"{drop['AP']['value']:.2f} (95 %: {drop['AP']['low']:.2f} to " in error
    assert error.endswith(", the gate is 1")
    assert measured("--evaluate people --gate 99", shift=4) == 0
    assert contents(tmp_path)["m.tflite"] != before["m.tflite"]


@pytest.mark.slow
def test_photos_that_calibrated_prove_nothing(measured, saved, people, tmp_path, capsys):
    (tmp_path / "both").symlink_to(people)
    before = contents(tmp_path)
    both = "--to int8 --calibrate both --evaluate both"
    assert measured(f"{both} --gate 1") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "both: 200 of its photos are in the calibration data too" in error
    assert contents(tmp_path) == before
    assert measured(f"{both} --report r.json") == 0
    assert "200 of its photos are in the calibration data too" in capsys.readouterr().err
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["calibration"] == {"crops": 200, "evaluation_photos": 200}


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
        (["convert", "small.keras", "a.tflite", "--to", "int8", "--calibrate", "few"], "200 people are"),
        (["convert", "old.tflite", "a.tflite"], "old.tflite: is not a .keras model"),
        (["convert", "small.keras", "folder.tflite"], "is a folder"),
        (["convert", "small.keras", "b.tflite"], "is a folder"),
        (["convert", "small.keras", "a.tflite", "--gate", "1"], "--evaluate"),
        (["convert", "small.keras", "a.tflite", "--report", "r.json"], "--evaluate"),
        (["convert", "small.keras", "a.tflite", "--evaluate", "missing"], "missing"),
        (["convert", "small.keras", "a.tflite", "--evaluate", "few", "--gate", "-1"], "Received: -1"),
        (["convert", "small.keras", "a.tflite", "--evaluate", "few", "--gate", "nan"], "Received: nan"),
        (["convert", "small.keras", "a.tflite", "--evaluate", "few", "--report", "r.txt"], ".json"),
        (
            ["convert", "small.keras", "a.tflite", "--evaluate", "few", "--report", "a_pose_spec.json"],
            "a_pose_spec.json; give another name",
        ),
        (
            ["convert", "small.keras", "a.tflite", "--evaluate", "few", "--report", "few/annotations.json"],
            "annotations.json; give another name",
        ),
        (["export", "small.keras", "taken"], "is a file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    saved, few, tmp_path, monkeypatch, capsys, arguments, message
):
    import keras

    (tmp_path / "few").symlink_to(few)
    (tmp_path / "folder.tflite").mkdir()
    (tmp_path / "b_labels.txt").mkdir()
    (tmp_path / "old.tflite").write_bytes(b"\0\0\0\0TFL3")
    (tmp_path / "small.keras").symlink_to(saved)
    (tmp_path / "text.keras").write_text("not a model")
    (tmp_path / "taken").write_text("a file")
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
