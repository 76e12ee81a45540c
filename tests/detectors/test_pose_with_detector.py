"""`flpn pose --detector`."""

import json
import threading

import cv2
import numpy as np
import painted
import pytest
from helpers import REPOSITORY, exit_code

from flpn_tf.runtime.detectors import open_detector
from flpn_tf.runtime.estimator import PoseEstimator


@pytest.fixture
def folder(tmp_path, monkeypatch, ssd_file, dots_tflite):
    """A user's folder: photos, a detector and a pose model."""
    (tmp_path / "photos").mkdir()
    for name, size in painted.SIZES.items():
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), painted.photo(*size)[..., ::-1])
    cv2.imwrite(str(tmp_path / "photos" / "empty.png"), np.full((90, 120, 3), painted.GROUND, np.uint8))
    (tmp_path / "ssd.tflite").write_bytes(ssd_file.read_bytes())
    (tmp_path / "dots.tflite").write_bytes(dots_tflite.read_bytes())
    (tmp_path / "boxes.json").write_text("[]")
    (tmp_path / "text.tflite").write_text("a letter")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMAND = ("pose", "--model", "dots.tflite", "--detector", "ssd.tflite")


def _expected(name, **options):
    image = painted.photo(*painted.SIZES[name])
    people = open_detector("ssd.tflite", **options)(image)
    assert len(people) == 2
    return PoseEstimator("dots.tflite").estimate(image, people.boxes, people.scores).people()


def test_one_photo(folder, monkeypatch, capfd):
    assert exit_code(monkeypatch, *COMMAND, "photos/wide.png", "--json", "-", "--out", "o.png") == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["people"] == _expected("wide")
    assert "of 2 people" in printed.err
    assert "whole frame" not in printed.err
    assert cv2.imread("o.png").shape == (*painted.SIZES["wide"], 3)


def test_a_folder(folder, monkeypatch, capfd):
    assert exit_code(monkeypatch, *COMMAND, "photos", "--threads", "2") == 0
    records = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {record["image"]: record["people"] for record in records} == {
        "photos/empty.png": [],
        **{f"photos/{name}.png": _expected(name) for name in painted.SIZES},
    }


def test_nobody_in_one_photo(folder, monkeypatch, capfd):
    assert exit_code(monkeypatch, *COMMAND, "photos/empty.png", "--json", "-", "--out", "o.png") == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["people"] == []
    assert printed.err == "flpn: nobody is found; o.png is the photo\n"
    np.testing.assert_array_equal(cv2.imread("o.png"), cv2.imread("photos/empty.png"))


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ("--detector-score 0.7", 1),
        ("--detector-class 2", 1),
        ("--detector-layout ssd --detector-score 0", 2),
    ],
)
def test_options(folder, monkeypatch, capfd, options, count):
    assert exit_code(monkeypatch, *COMMAND, "photos/tall.png", *options.split()) == 0
    assert len(json.loads(capfd.readouterr().out)["people"]) == count


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ("--detector ssd.tflite --boxes boxes.json", "leave one out"),
        ("--detector-score 0.5", "are for a --detector"),
        ("--detector-layout ssd", "are for a --detector"),
        ("--detector ssd.tflite --detector-layout yolox", "is not of the layout yolox"),
        ("--detector ssd.tflite --detector-layout yolo", "Received: yolo"),
        ("--detector ssd.tflite --detector-score 7", "Received: 7"),
        ("--detector ssd.tflite --detector-class 9", "Received: 9"),
        ("--detector dots.tflite", "none of the layouts"),
        ("--detector text.tflite", "text.tflite"),
        ("--detector missing.tflite", "missing.tflite"),
        ("--detector photos", "photos"),
        ("--detector ssd.tflite --json ssd.tflite", "overwrite ssd.tflite"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(folder, monkeypatch, capfd, options, names):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    command = f"pose photos/wide.png --model dots.tflite {options}"
    assert exit_code(monkeypatch, *command.split()) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("flpn: error: ")
    assert names in line
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_servers_model(folder, monkeypatch, capfd):
    monkeypatch.syspath_prepend(REPOSITORY / "tests" / "serving")
    import scripted_server

    server = scripted_server.Server(scripted_server.centres)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        command = ["pose", "photos/wide.png", "photos/empty.png", "--model", server.url]
        assert exit_code(monkeypatch, *command, "--detector", "ssd.tflite") == 0
    finally:
        server.shutdown()
        server.server_close()
    found, nobody = (json.loads(line)["people"] for line in capfd.readouterr().out.splitlines())
    people = open_detector("ssd.tflite")(painted.photo(*painted.SIZES["wide"]))
    np.testing.assert_allclose([person["box"] for person in found], people.boxes, atol=0.01)
    # The joints of this server score 0.9.
    np.testing.assert_allclose([person["score"] for person in found], 0.9 * people.scores, atol=1e-3)
    assert nobody == []
    assert len(server.asked) == 1
