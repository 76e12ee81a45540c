"""`flpn pose` as a user runs it: a real process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import dot_model
import numpy as np
import pytest

POINTS = np.array([[100.0, 80.0], [150.0, 120.0], [120.0, 190.0]])
BOX = [80, 60, 110, 150]


def flpn(command, folder):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-m", "flpn_tf", *command.split()],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )


@pytest.fixture
def folder(tmp_path, dots_tflite, bare_tflite):
    """A user's folder: photos good and bad, boxes good and bad, models."""
    photo = dot_model.photo_with_dots(300, 400, POINTS, radius=20)
    cv2.imwrite(str(tmp_path / "good.png"), photo[..., ::-1])
    cv2.imwrite(str(tmp_path / "good2.png"), photo[..., ::-1])
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "corrupt.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("this is a letter, not a photo")
    (tmp_path / "empty.jpg").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "pixel.png"), photo[:1, :1])
    (tmp_path / "nothing").mkdir()
    boxes = {
        "boxes": [BOX],
        "two": [BOX, BOX],
        "outside": [BOX, [1000, 1000, 5, 5]],
        "nan": [[float("nan"), 0, 5, 5]],
        "flat": [[0, 0, 0, 5]],
        "object": {"other.png": [BOX]},
        "named": {"good.png": [BOX], "good2.png": []},
        "number": 7,
        "null": {"good.png": None},
        "huge": [[0, 0, 1e308, 1e308]],
        "text": [["1", "2", "3", "4"]],
    }
    for name, content in boxes.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "broken.json").write_text("[[1, 2,")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "link.png").symlink_to("good.png")
    (tmp_path / "X.tflite").mkdir()
    (tmp_path / "m.tflite").write_bytes(dots_tflite.read_bytes())
    (tmp_path / "bare.tflite").write_bytes(bare_tflite.read_bytes())
    return tmp_path


BAD_INPUT = [
    ("corrupt.png", "corrupt.png"),
    ("text.jpg", "text.jpg"),
    ("empty.jpg", "empty.jpg"),
    ("pixel.png", "pixel.png"),
    ("missing.png", "missing.png"),
    ("nothing", "nothing"),
    ("good.png --boxes outside.json", "good.png: box 1"),
    ("good.png --boxes nan.json", "good.png: box 0"),
    ("good.png --boxes flat.json", "good.png: box 0"),
    ("good.png --boxes object.json", "no entry for good.png"),
    ("good.png --boxes number.json", "number.json"),
    ("good.png --boxes broken.json", "broken.json"),
    ("good.png --boxes missing.json", "missing.json"),
    ("good.png good2.png --boxes boxes.json", "boxes.json"),
    ("good.png --model bare.tflite", "bare.tflite"),
    ("good.png --model text.jpg", "text.jpg"),
    ("good.png --model nowhere.tflite", "nowhere.tflite"),
    ("good.png --decode best", "best"),
    ("good.png --threads 0", "--threads"),
    ("good.png --threads 100000000", "--threads"),
    ("good.png --boxes null.json", "a list for good.png"),
    ("good.png --boxes huge.json", "good.png: box 0"),
    ("good.png --boxes text.json", "good.png: box 0"),
    ("good.png --boxes deep.json", "deep.json"),
    ("good.png --model X.tflite", "X.tflite"),
    ("good.png --model=", "Received: ''"),
    ("good.png --out good.png", "overwrite good.png"),
    ("good.png --out link.png", "overwrite good.png"),
    ("good.png --json good.png", "overwrite good.png"),
    ("good.png --json m.tflite", "overwrite m.tflite"),
    ("good.png --boxes boxes.json --json boxes.json", "overwrite boxes.json"),
    ("good.png --out o.png --json o.png", "overwrite o.png"),
    (f"{'x' * 300}.png", "File name too long"),
    ("good.png --json good.png/o.json", "folder does not exist"),
    (f"good.png --json {'x' * 300}", "File name too long"),
    ("good.png --out o.gif", "o.gif"),
    ("good.png --out nowhere/o.png", "nowhere"),
    ("good.png --json nowhere/o.json", "nowhere"),
    ("good.png good2.png --out o.png", "--out"),
]


@pytest.mark.parametrize(("command", "names"), BAD_INPUT)
def test_bad_input_is_one_line_and_writes_nothing(folder, command, names):
    arguments = command.split()
    for option, value in (("--model", "m.tflite"), ("--out", "o.png"), ("--json", "o.json")):
        several = option == "--out" and arguments[1:2] == ["good2.png"]
        if not any(part.startswith(option) for part in arguments) and not several:
            command += f" {option} {value}"
    before = sorted(folder.iterdir())
    ran = flpn(f"pose {command}", folder)
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    lines = ran.stderr.splitlines()
    assert len(lines) == 1, ran.stderr
    assert lines[0].startswith("flpn: error: ")
    assert names in lines[0]
    assert "Traceback" not in ran.stderr
    assert sorted(folder.iterdir()) == before


def test_one_photo_json_and_overlay(folder):
    command = "pose good.png --boxes boxes.json --model m.tflite --out o.png --json -"
    ran = flpn(command, folder)
    assert ran.returncode == 0, ran.stderr
    record = json.loads(ran.stdout)
    assert list(record) == ["image", "width", "height", "model", "people"]
    assert (record["image"], record["width"], record["height"]) == ("good.png", 400, 300)
    assert record["model"] == "m"
    (person,) = record["people"]
    assert list(person) == ["box", "score", "keypoints"]
    assert person["box"] == BOX
    for joint, name, point in zip(person["keypoints"], dot_model.DOTS.names, POINTS, strict=True):
        assert list(joint) == ["name", "x", "y", "score"]
        assert joint["name"] == name
        np.testing.assert_allclose([joint["x"], joint["y"]], point, atol=0.5)
    assert ran.stderr == "flpn: 3 joints of 1 people score above 0.2, drawn in o.png\n"
    drawn, photo = (cv2.imread(str(folder / name)).astype(int) for name in ("o.png", "good.png"))
    changed = np.abs(drawn - photo).max(axis=-1) > 30
    assert 0 < changed.mean() < 0.2


def test_json_goes_to_a_file_and_notices_to_stderr(folder):
    ran = flpn("pose good.png --model m.tflite --json o.json --flip", folder)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    assert ran.stderr.count("whole frame is taken as one person") == 1
    assert len(json.loads((folder / "o.json").read_text())["people"]) == 1
    assert not (folder / "o.png").exists()


def test_several_photos_are_json_lines_with_boxes_by_name(folder):
    ran = flpn("pose good2.png good.png --boxes named.json --model m.tflite", folder)
    assert ran.returncode == 0, ran.stderr
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [record["image"] for record in records] == ["good2.png", "good.png"]
    assert [len(record["people"]) for record in records] == [0, 1]


def test_a_folder_of_one_photo_is_a_json_line(folder):
    (folder / "nothing" / "a.PNG").write_bytes((folder / "good.png").read_bytes())
    (folder / "nothing" / "notes.txt").write_text("not a photo")
    ran = flpn("pose nothing --model m.tflite --threads 2 --decode quarter", folder)
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    assert json.loads(line)["image"] == str(Path("nothing") / "a.PNG")


def test_a_late_bad_photo_leaves_no_json_file(folder):
    ran = flpn("pose good.png text.jpg --model m.tflite --json o.json", folder)
    assert ran.returncode == 2
    assert not (folder / "o.json").exists()


def shell(command, folder):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = command.replace("flpn", f"{sys.executable} -m flpn_tf")
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )


def test_a_reader_that_has_gone_is_no_error(folder):
    ran = shell(
        "flpn pose good.png --model m.tflite --boxes boxes.json | true; exit ${PIPESTATUS[0]}", folder
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (141, "", "")


@pytest.mark.parametrize(("photo", "code"), [("good.png", 0), ("text.jpg", 2)])
def test_a_closed_standard_error_changes_nothing(folder, photo, code):
    ran = shell(f"flpn pose {photo} --model m.tflite 2>&-", folder)
    assert ran.returncode == code
    assert (len(json.loads(ran.stdout)["people"]) == 1) if code == 0 else (ran.stdout == "")
