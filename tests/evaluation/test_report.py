"""The page that shows where a model fails."""

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import synthetic_people
from knowing_backend import KnowingBackend
from synthetic_people import SKELETON

from flpn_tf.errors import InputError
from flpn_tf.evaluation.analysis import analyse
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.evaluation.report import write_report

VOID = {"meta", "img"}


class Page(HTMLParser):
    """What a browser would find: text by tag, pictures, and that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells, self.pictures, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            source = dict(attributes)["src"]
            assert source.startswith("data:image/")
            content = base64.b64decode(source.partition("base64,")[2])
            self.pictures.append(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)
        self.text += data


def shift(joint, pixels):
    shifts = np.zeros((len(SKELETON), 2))
    shifts[SKELETON.names.index(joint), 0] = pixels
    return shifts


@pytest.fixture
def found(data, model_of):
    """A model that misses the nose."""
    return evaluate(model_of(KnowingBackend(shift=shift("nose", 40))), data)


def test_page(found, tmp_path):
    write_report(tmp_path / "r.html", found)
    page = Page((tmp_path / "r.html").read_text())
    assert page.open == []
    assert len(page.pictures) == 4
    assert all(picture is not None and picture.std() > 5 for picture in page.pictures)
    row = page.cells.index("nose")
    assert page.cells[row + 1 : row + 6] == ["0.0", "0.0", "0.0", "0.0", "100.0"]
    row = page.cells.index("left_hip")
    assert page.cells[row + 1] == "100.0"
    assert f"{found.result['metrics']['AP']:.2f}" in page.cells
    assert "8 people, 8 poses, boxes: gt, flip: off, decode: dark, nms: oks" in page.text
    assert not re.search(r"https?://|<script", (tmp_path / "r.html").read_text())


def test_picture(found, tmp_path):
    write_report(tmp_path / "r.png", found)
    picture = cv2.imread(str(tmp_path / "r.png"))
    assert picture.shape[1] == 14 * 110
    assert picture.std() > 5


def test_the_worst_come_first(data, model_of, tmp_path, monkeypatch):
    """Of eight people one is far off: the first tile is its truth."""
    found = evaluate(model_of(KnowingBackend()), data)
    moved = found.analysis.found.keypoints
    moved[5, :, :2] += 300
    analysis = analyse(found.people, found.analysis.found, own=True)
    analysed = dataclasses.replace(found, analysis=analysis)
    sheets = []
    monkeypatch.setattr(
        "flpn_tf.evaluation.report.contact_sheet",
        lambda titles, columns, legend: sheets.append(columns) or np.zeros((9, 9, 3), np.uint8),
    )
    write_report(tmp_path / "r.html", analysed)
    captions = [column[0][0] for column in sheets[0]]
    assert captions[:2] == ["truth, OKS 0.00", f"5, score {found.poses.scores[5]:.2f}"]


@pytest.mark.filterwarnings("error")
def test_names_of_files_are_text(data, model_of, tmp_path):
    path = model_of(KnowingBackend()).rename(tmp_path / "<script>& m$\\frac$模.tflite")
    write_report(tmp_path / "r.html", evaluate(path, data))
    write_report(tmp_path / "r.png", evaluate(path, data))
    text = (tmp_path / "r.html").read_text()
    assert "<script" not in text
    assert "<script>& m$\\frac$模.tflite on people/annotations.json" in Page(text).text


def test_nobody_found(data, tmp_path):
    """No pose at all: a page all the same."""
    (tmp_path / "none.json").write_text("[]")
    found = evaluate(tmp_path / "none.json", data)
    write_report(tmp_path / "r.html", found)
    write_report(tmp_path / "r.png", found)
    assert "8 people without a pose, 0 poses of nobody" in Page((tmp_path / "r.html").read_text()).text


def test_nothing_to_compare_with_is_refused(data, model_of, tmp_path):
    content = synthetic_people.document()
    boxes = [
        {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.5}
        for a in content["annotations"]
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    content.pop("annotations")
    (tmp_path / "photos.json").write_text(json.dumps(content))
    found = evaluate(
        model_of(KnowingBackend()),
        tmp_path / "photos.json",
        data / "images",
        boxes=tmp_path / "boxes.json",
        results=tmp_path / "r.json",
    )
    with pytest.raises(InputError, match="needs annotations"):
        write_report(tmp_path / "r.html", found)
    assert not (tmp_path / "r.html").exists()
