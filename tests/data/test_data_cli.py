"""`flpn data …` as typed: exit codes, one line for what is wrong, never a traceback."""

import json
import os
import subprocess
import sys

import pytest
import synthetic_people
from helpers import REPOSITORY

from flpn_tf.data.data_cli import size
from flpn_tf.data.manifest import open_prepared
from flpn_tf.errors import InputError


@pytest.fixture
def data(tmp_path):
    return synthetic_people.write(tmp_path / "data", synthetic_people.document(people=5))


def in_a_process(*arguments, folder):
    """As a user has it: the same, with what native libraries write."""
    return subprocess.run(
        [sys.executable, "-c", "from flpn_tf.cli import main; main()", "data", *map(str, arguments)],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
        | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def rewritten(data, change):
    document = json.loads((data / "annotations.json").read_text())
    change(document)
    (data / "annotations.json").write_text(json.dumps(document))


def test_check_in_a_process(data, tmp_path):
    good = in_a_process("check", data, folder=tmp_path)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "0 errors, 0 warnings")
    (data / "images" / "2.png").write_bytes(b"spoilt")
    bad = in_a_process("check", data, folder=tmp_path)
    assert bad.returncode == 1
    assert "2.png" in bad.stdout
    none = in_a_process("check", tmp_path / "nothing", folder=tmp_path)
    assert (none.returncode, none.stdout) == (2, "")
    for result in (good, bad, none):
        assert "Traceback" not in result.stderr
    assert len(none.stderr.splitlines()) == 1


def test_prepare_in_a_process(data, tmp_path):
    (data / "images" / "2.png").write_bytes((data / "images" / "2.png").read_bytes()[:-200])
    result = in_a_process("prepare", data, tmp_path / "out", "--jobs", 1, folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"flpn: error: {data / 'images' / '2.png'} ")
    assert "person 1002" in line
    assert line.endswith("; --skip-bad leaves such photos out")


def test_prepare(data, tmp_path, flpn):
    output = tmp_path / "out"
    code, said, progress = flpn("prepare", data, output, "--shard-size", 2, "--jobs", 1, "--quality", 80)
    assert (code, progress.splitlines()) == (0, ["2/5 people", "4/5 people", "5/5 people"])
    prepared = open_prepared(output)
    assert said == f"5 people in 3 files, {prepared.bytes / 1e6:.1f} MB: {output}\n"
    again = flpn("prepare", data, output, "--shard-size", 2, "--jobs", 1, "--quality", 80)
    assert again == (0, said, f"{output}: is already prepared\n")
    code, said, line = flpn("prepare", data, output, "--jobs", 1)
    assert (code, said) == (2, "")
    assert line == (
        f"flpn: error: {output}: holds other data, or was prepared with other options; choose a new folder\n"
    )


def test_every_option_reaches_the_shards(data, tmp_path, flpn):
    options = {
        "image-size": "128x96",
        "rotation": 30,
        "scale": 0.25,
        "translation": 0.1,
        "half-body": 0,
        "detail": 2,
        "quality": 90,
        "shard-size": 4,
        "seed": 3,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    words += ["--images", data / "images", "--jobs", 1]
    code, *_ = flpn("prepare", data / "annotations.json", tmp_path / "out", *words)
    assert code == 0
    stored = json.loads((tmp_path / "out" / "manifest.json").read_text())["options"]
    reach = stored["reach"]
    assert (reach["rotation"], reach["scale"], reach["translation"], reach["half_body"]) == (30, 0.25, 0.1, 0)
    assert (stored["image_size"], stored["detail"], stored["quality"]) == ([128, 96], 2, 90)
    assert (stored["shard_size"], stored["seed"], stored["whole"]) == (4, 3, False)
    assert flpn("prepare", data, tmp_path / "photos", "--whole-photos", "--jobs", 1)[0] == 0
    assert open_prepared(tmp_path / "photos").kind == "photos"


def test_skipping(data, tmp_path, flpn):
    rewritten(data, lambda document: document["images"][2].update(file_name="../2.png"))
    code, said, line = flpn("prepare", data, tmp_path / "out", "--jobs", 1)
    assert (code, said, len(line.splitlines())) == (2, "", 1)
    assert "image 102: file_name must stay inside the image folder. Received: '../2.png'" in line
    code, said, _ = flpn("prepare", data, tmp_path / "out", "--jobs", 1, "--skip-bad")
    assert code == 0
    assert said.startswith("4 people in 1 files")
    kinds = [entry["kind"] for entry in json.loads((tmp_path / "out" / "manifest.json").read_text())["bad"]]
    assert kinds == ["bad file name", "unknown image_id"]


WRONG = {
    "image size": ["--image-size", "256"],
    "empty image size": ["--image-size", ""],
    "image size of 0": ["--image-size", "0x0"],
    "image size below 0": ["--image-size", "-256x192"],
    "image size of three": ["--image-size", "256x192x3"],
    "image size of fractions": ["--image-size", "25.6x19.2"],
    "raised image size": ["--image-size", "²x³"],
    "quality 0": ["--quality", "0"],
    "quality 101": ["--quality", "101"],
    "quality of text": ["--quality", "high"],
    "rotation": ["--rotation", "-1"],
    "rotation nan": ["--rotation", "nan"],
    "scale": ["--scale", "1"],
    "translation": ["--translation", "2"],
    "half body": ["--half-body", "1.5"],
    "detail": ["--detail", "0"],
    "endless detail": ["--detail", "inf"],
    "shard size": ["--shard-size", "0"],
    "seed": ["--seed", "-1"],
    "jobs": ["--jobs", "0"],
    "split": ["--split", "train"],
    "no images": ["--images", "nowhere"],
    "images that are a file": ["--images", "data/annotations.json"],
    "unknown": ["--nonsense"],
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_wrong_options(data, tmp_path, flpn, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    code, said, complaint = flpn("prepare", data, tmp_path / "out", *words)
    assert (code, said) == (2, "")
    assert "Traceback" not in complaint
    # Typer's own complaints come with a line of usage.
    assert complaint.startswith("flpn: error: ") == (len(complaint.splitlines()) == 1)
    assert not (tmp_path / "out").exists()


NAMES = {
    "long": "n" * 3000 + ".png",
    "deep": "n/" * 1500 + "x.png",
    "lines": "one\ntwo\r\nthree\u2028four\x85five.png",
    "colours": "\x1b[31mred\x1b[0m.png",
    "no text": "\udcff\ud800.png",
    "bell and zero width": "\a\u200b\ufeff.png",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_that_would_break_a_line(data, tmp_path, flpn, name):
    rewritten(data, lambda document: document["images"][2].update(file_name=name))
    code, said, complaint = flpn("prepare", data, tmp_path / "out", "--jobs", 1)
    assert (code, said) == (2, "")
    assert complaint.endswith("\n")
    assert len(complaint[:-1].splitlines()) == 1
    assert len(complaint) < 800
    assert "person 1002" in complaint
    code, *_ = flpn("prepare", data, tmp_path / "out", "--jobs", 1, "--skip-bad")
    assert code == 0
    (bad,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["bad"]
    assert bad["kind"] == "missing photo"
    code, said, _ = flpn("check", data)
    assert code == 1
    assert all(line.isprintable() for line in said.splitlines())


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
def test_a_photo_whose_name_is_no_text(data, tmp_path, flpn):
    (data / "images" / "2.png").rename(data / "images" / "\udcff.png")
    rewritten(data, lambda document: document["images"][2].update(file_name="\udcff.png"))
    assert flpn("prepare", data, tmp_path / "out", "--jobs", 1)[0] == 0
    assert len(open_prepared(tmp_path / "out")) == 5


DOCUMENTS = {
    "empty": b"",
    "no json": b"{",
    "a list": b"[]",
    "a number": b"1",
    "another json": b'{"version": "4.5", "shapes": []}',
    "no people": b'{"images": [], "annotations": [], "categories": [{"id": 1, "keypoints": ["a"]}]}',
    "boxes only": b'{"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}',
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", DOCUMENTS.values(), ids=DOCUMENTS)
def test_annotations_that_are_none(data, tmp_path, flpn, content):
    (data / "annotations.json").write_bytes(content)
    for words in ([], ["--skip-bad"]):
        code, said, complaint = flpn("prepare", data, tmp_path / "out", *words)
        assert (code, said, len(complaint.splitlines())) == (2, "", 1)
        assert complaint.startswith("flpn: error: ")
        assert str(data) in complaint
    assert not (tmp_path / "out").exists()


def test_outputs_that_cannot_be(data, tmp_path, flpn):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "out", data, tmp_path / ("x" * 300)):
        before = sorted(path.name for path in data.iterdir())
        code, said, complaint = flpn("prepare", data, output, "--jobs", 1)
        assert (code, said, len(complaint.splitlines())) == (2, "", 1)
        assert sorted(path.name for path in data.iterdir()) == before


@pytest.mark.parametrize(("text", "expected"), [("256x192", (256, 192)), ("8x8", (8, 8))])
def test_sizes(text, expected):
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "x", "256", "256x", "x192", "256X192", " 256x192", "1e2x3", "²x²"])
def test_texts_that_are_no_size(text):
    with pytest.raises(InputError, match="HEIGHTxWIDTH.*Received: "):
        size(text)
