"""`flpn evaluate` as a user runs it."""

import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from helpers import exit_code
from knowing_backend import KnowingBackend, UnaskedBackend
from synthetic_people import SKELETON

from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.presets import resolve_model


@pytest.fixture
def folder(data, tmp_path):
    """A user's folder: data sets good and bad, boxes and poses."""
    content = json.loads((data / "annotations.json").read_text())
    for name in ("people", "spoilt", "small", "fewer", "photos"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "annotations.json").write_text(json.dumps(content))
        (tmp_path / name / "images").symlink_to(data / "images")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "images").symlink_to(data / "images")
    halves = [
        image | {"width": image["width"] / 2, "height": image["height"] / 2} for image in content["images"]
    ]
    (tmp_path / "half" / "annotations.json").write_text(json.dumps(content | {"images": halves}))
    del content["annotations"]
    (tmp_path / "photos" / "annotations.json").write_text(json.dumps(content))
    for name in ("spoilt", "small", "fewer"):
        (tmp_path / name / "images").unlink()
        shutil.copytree(data / "images", tmp_path / name / "images")
        (tmp_path / name / "images" / "5.png").unlink()
    whole = (data / "images" / "5.png").read_bytes()
    (tmp_path / "spoilt" / "images" / "5.png").write_bytes(whole[: len(whole) // 2])
    # The person's box lies beside it.
    cv2.imwrite(str(tmp_path / "small" / "images" / "5.png"), np.zeros((8, 8, 3), np.uint8))
    box = {"image_id": 100, "category_id": 1, "bbox": [20, 10, 60, 100], "score": 0.5}
    pose = {"image_id": 100, "category_id": 1, "keypoints": [1.0] * 21, "score": 0.5}
    jsons = {
        "boxes": [box],
        "elsewhere": [box | {"image_id": 5}],
        "nan": [pose | {"score": float("nan")}],
        "twice": [pose, pose],
        "object": {"a": 1},
        "cats": [box | pose | {"category_id": 18}],
    }
    for name, value in jsons.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    (tmp_path / "broken.json").write_text("[{")
    (tmp_path / "c.yaml").write_text("{}")
    (tmp_path / "c.json").write_text("{}")
    return tmp_path


@pytest.fixture
def flpn(folder, monkeypatch, model_of):
    """The exit code of `flpn evaluate` in the user's folder, whose m.tflite finds the joints."""

    def run(text, backend=None):
        model_of(backend or KnowingBackend())
        monkeypatch.chdir(folder)
        return exit_code(monkeypatch, "evaluate", *text.split())

    return run


def test_table_and_json(flpn, folder, capsys):
    assert flpn("m.tflite people --json r.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "coco, 8 people, 8 poses, boxes: gt, flip: off, decode: dark, nms: oks",
        "AP and AR over OKS 0.50 to 0.95; PCK@0.2 of the torso, of the 8 people who have one",
        "        AP      AP50      AP75       APM       APL        AR   PCK@0.2",
        "    100.00    100.00    100.00    100.00         -    100.00    100.00",
    ]
    assert lines[4].startswith(
        "labelled joints of all 8 people: good 100.0 %, jitter 0.0 %, inversion 0.0 %, "
    )
    assert len(lines) == 5
    assert json.loads((folder / "r.json").read_text()) == evaluate("m.tflite", "people").result


def test_json_alone_on_standard_output(flpn, capsys):
    assert flpn("m.tflite people --json - --flip --decode quarter --nms none") == 0
    out, error = capsys.readouterr()
    result = json.loads(out)
    assert [result[key] for key in ("flip", "decode", "nms", "people")] == [True, "quarter", "none", 8]
    assert error.splitlines()[-1].startswith("8/8 people, ")


def test_lsp_table(flpn, capsys):
    assert flpn("m.tflite people --dataset lsp --flip") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "lsp, 8 people, 8 poses, boxes: gt, flip: on, decode: dark"
    assert lines[1].startswith("PCK@0.2 of the torso")
    columns = dict(zip(lines[2].split(), lines[3].split(), strict=True))
    assert list(columns) == ["Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean", "Mean@0.1"]
    assert columns["Head"] == columns["Wrist"] == "-"


def test_the_annotation_file_and_the_photos_folder_apart(flpn, folder, capsys):
    (folder / "people" / "images").rename(folder / "elsewhere")
    assert flpn("m.tflite people/annotations.json --images elsewhere") == 0
    assert " 100.00 " in capsys.readouterr().out


def test_results_are_measured_again(flpn, folder, capsys):
    moved = np.random.default_rng(0).normal(scale=4, size=(7, 2))
    assert flpn("m.tflite people --results p.json", KnowingBackend(shift=moved)) == 0
    _, _, names, numbers, _ = capsys.readouterr().out.splitlines()
    first = dict(zip(names.split(), numbers.split(), strict=True))
    assert 10 < float(first["AP"]) < 100
    poses = json.loads((folder / "p.json").read_text())
    assert {len(pose["keypoints"]) for pose in poses} == {21}
    assert {pose["image_id"] for pose in poses} == set(range(100, 108))
    assert flpn("p.json people") == 0
    about, _, names, numbers, _ = capsys.readouterr().out.splitlines()
    assert about == "coco, 8 people, 8 poses, poses: p.json"
    assert first == dict(zip(names.split(), numbers.split(), strict=True)) | {"PCK@0.2": first["PCK@0.2"]}
    assert not (folder / "p.json.partial").exists()


def test_photos_without_annotations(flpn, folder, capsys):
    assert flpn("m.tflite photos --boxes boxes.json --results p.json") == 0
    assert capsys.readouterr().out == (
        "1 poses, boxes: boxes.json, flip: off, decode: dark, nms: oks; no annotations, so nothing is "
        "measured\n"
    )
    (pose,) = json.loads((folder / "p.json").read_text())
    assert pose["score"] > 0.4


def test_what_is_left_out_is_said(flpn, folder, capsys):
    content = json.loads((folder / "people" / "annotations.json").read_text())
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][1]["keypoints"][3 * SKELETON.names.index("right_hip") + 2] = 0
    (folder / "people" / "annotations.json").write_text(json.dumps(content))
    assert flpn("m.tflite people --dataset lsp") == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "lsp, 6 people, 7 poses, boxes: gt, flip: off, decode: dark",
        "left out, a crowd: 1",
        "left out, no torso to measure by: 1",
    ]


BAD_INPUT = [
    ("m.tflite nowhere", "nowhere: a data set is a folder"),
    ("none.tflite people", "Received: 'none.tflite'"),
    ("none.json people", "none.json: cannot be read"),
    ("m.tflite people --decode best", "Received: 'best'"),
    ("m.tflite people --nms best", "Received: 'best'"),
    ("m.tflite people --dataset best", "Received: 'best'"),
    ("m.tflite people --dataset mpii", "annotations.json: has no head boxes"),
    ("m.tflite people --split test", "a COCO json has no split"),
    ("m.tflite people --config c.yaml", "only a .weights.h5 file needs a config"),
    ("m.tflite people --images nowhere", "nowhere"),
    ("m.tflite spoilt", "spoilt/images/5.png"),
    ("m.tflite small", "small/images/5.png: the photo is 8x8 upright, its annotations say 100x120"),
    ("m.tflite fewer", "1 of its 8 photos are missing, first fewer/images/5.png"),
    ("m.tflite people --boxes none.json", "none.json: cannot be read"),
    ("m.tflite people --boxes broken.json", "broken.json: is not JSON"),
    ("m.tflite people --boxes object.json", "object.json: is no json of detections"),
    ("m.tflite people --boxes elsewhere.json", "there is no image with its image_id. Received: 5"),
    ("m.tflite people --boxes boxes.json --dataset lsp", "is measured with one pose of each person"),
    ("m.tflite photos", "the lists annotations are missing"),
    ("m.tflite photos --boxes boxes.json", "photos: has no annotations, so nothing can be measured"),
    ("broken.json people", "broken.json: is not JSON"),
    ("nan.json people", "nan.json: pose number 0: score must be a finite number. Received: nan"),
    ("twice.json people", "twice.json: pose number 1: is the same as number 0"),
    ("boxes.json people", "boxes.json: is no json of poses"),
    (
        "boxes.json people --flip",
        "boxes.json: holds poses; boxes, flip, decode, nms and config are for a model",
    ),
    ("m.tflite people --json nowhere/r.json", "nowhere/r.json"),
    ("m.tflite people --results nowhere/p.json", "nowhere/p.json"),
    ("m.tflite people --results p.txt", "The output must end in .json. Received: p.txt"),
    ("m.tflite people --json p.json --results p.json", "overwrite p.json"),
    ("m.tflite people --json m.tflite", "The output must end in .json. Received: m.tflite"),
    ("m.tflite people --json people/images/0.png", "The output must end in .json"),
    ("m.tflite people --report people/images/0.png", "would overwrite a file among the photos"),
    ("m.tflite people --report r.pdf", "The output must end in .html, .png. Received: r.pdf"),
    ("m.tflite people --nms soft --dataset lsp", "nms is of the protocol coco. Received: soft, lsp"),
    ("m.tflite photos --boxes boxes.json --results p.json --report r.png", "there is nothing to report"),
    (
        "cats.json people",
        "none of its poses has the category_id 1 of the data set's people. Received: ['18']",
    ),
    ("m.tflite people --boxes cats.json", "none of its detections has the category_id 1"),
    ("m.tflite half", "half/images/0.png: the photo is 100x120 upright, its annotations say 50x60"),
    ("m.tflite people --boxes boxes.json --json boxes.json", "overwrite boxes.json"),
    ("m.tflite people --boxes boxes.json --results boxes.json", "overwrite boxes.json"),
    ("twice.json people --results twice.json", "overwrite twice.json"),
    ("m.tflite people --json people/annotations.json", "overwrite people/annotations.json"),
    ("m.tflite people/annotations.json --json people/annotations.json", "overwrite people/annotations.json"),
    ("m.tflite people --results people/annotations.json", "overwrite people/annotations.json"),
    ("w.weights.h5 people --config c.json --json c.json", "overwrite c.json"),
    ("m.tflite people --threads 0", "--threads"),
]


@pytest.mark.parametrize(("text", "message"), BAD_INPUT, ids=[text for text, _ in BAD_INPUT])
def test_bad_input_is_one_line_and_writes_nothing(flpn, folder, capsys, text, message):
    (folder / "m.tflite").touch()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outputs = {"--json": "r.json", "--results": "p.json"}
    if "photos" in text:
        del outputs["--results"]
    asked = [text, *(f"{option} {name}" for option, name in outputs.items() if option not in text)]
    assert flpn(" ".join(asked)) == 2
    out, error = capsys.readouterr()
    assert out == ""
    if "--threads" not in text:  # Typer draws a box around its errors
        assert error.startswith("flpn: error: ")
        assert error.count("\n") == 1, error
    assert message in error
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before | {folder / "m.tflite": b"model"}


def test_the_shipped_model_in_a_process_of_its_own(folder):
    """Without TensorFlow; the drawn people have no faces, so the numbers say nothing."""
    code = (
        "import sys; sys.modules.update(tensorflow=None, keras=None); import flpn_tf.cli; flpn_tf.cli.main()"
    )
    options = ["flpn-mobile", "people", "--json", "r.json", "--results", "p.json"]
    ran = subprocess.run(
        [sys.executable, "-c", code, "evaluate", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("coco, 8 people, 8 poses, boxes: gt, flip: off, decode: dark, nms: oks\n")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("8/8 people, ")
    result = json.loads((folder / "r.json").read_text())
    assert result["model"] == resolve_model("flpn-mobile").name
    assert result["unmatched"] == []
    assert len(json.loads((folder / "p.json").read_text())) == 8


def test_a_name_cannot_write_to_the_terminal(flpn, folder, capsys):
    content = json.loads((folder / "people" / "annotations.json").read_text())
    content["categories"][0]["keypoints"][0] = "\x1b[31mnose\nflpn: error: fake"
    (folder / "people" / "annotations.json").write_text(json.dumps(content))
    assert flpn("m.tflite people") == 0
    out, error = capsys.readouterr()
    assert "left out, joints that the model has not: \\x1b[31mnose\\nflpn: error: fake\n" in out
    assert "\x1b" not in out + error


def test_standard_output_that_is_closed(flpn, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert flpn("m.tflite people --json -", UnaskedBackend()) == 2
    assert "standard output is closed; give a file" in capsys.readouterr().err


def test_a_report_that_fails_leaves_the_rest(flpn, folder, monkeypatch):
    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr("flpn_tf.evaluation.report.write_atomically", fail)
    assert flpn("m.tflite people --json r.json --results p.json --report r.png") == 2
    assert {path.name for path in folder.glob("[pr].*")} == {"r.json", "p.json"}
