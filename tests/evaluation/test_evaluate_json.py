"""Poses and boxes from json files in COCO's results format, measured by the protocol of COCO."""

import hashlib
import json

import numpy as np
import pytest
import synthetic_people
from knowing_backend import KnowingBackend, UnaskedBackend
from real_data import real_data

from flpn_tf.errors import InputError
from flpn_tf.evaluation.analysis import KINDS
from flpn_tf.evaluation.evaluate import evaluate

# OKS of a shift of d pixels: exp(-d² / (2 · 5000 · (2 · 0.05)²)) = exp(-d² / 100).
AREA, SIGMA = 5000, 0.05


def content_of(data):
    return json.loads((data / "annotations.json").read_text())


def poses_of(content, change=None):
    """The truth in the results format; `change` is made to each (K, 3) (x, y, v)."""
    poses = []
    for place, annotation in enumerate(a for a in content["annotations"] if not a.get("iscrowd")):
        joints = np.reshape(annotation["keypoints"], (-1, 3)).astype(float)
        if change is not None:
            change(joints)
        poses.append(
            {
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"],
                "keypoints": joints.ravel().tolist(),
                "score": 1 / (1 + place),
            }
        )
    return poses


def boxes_of(content, scores):
    """The truth's boxes as a detector's."""
    return [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": score}
        for a, score in zip(content["annotations"], scores, strict=True)
    ]


@pytest.fixture
def written(tmp_path):
    """Json content → its file."""

    def write(content, name="given.json"):
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    return write


@pytest.fixture(scope="module")
def round_numbers(tmp_path_factory):
    """The drawn people with areas and sigmas that are easy by hand, and another category id."""
    content = synthetic_people.document()
    content["categories"] = [synthetic_people.CATEGORY | {"id": 4, "sigmas": [SIGMA] * 7}]
    for annotation in content["annotations"]:
        annotation |= {"area": AREA, "category_id": 4}
    return synthetic_people.write(tmp_path_factory.mktemp("round") / "people", content)


def test_the_truth_is_exactly_100(data, written):
    result = evaluate(written(poses_of(content_of(data))), data).result
    assert {name: value for name, value in result["metrics"].items() if value is not None} == dict.fromkeys(
        ("AP", "AP50", "AP75", "APM", "AR", "AR50", "AR75", "ARM"), 100.0
    )
    assert result["errors"]["all"]["good"] == 100


def test_the_truth_of_real_photos_is_exactly_100(written):
    data = real_data("coco_val")
    labelled = {"annotations": [a for a in content_of(data)["annotations"] if a["num_keypoints"]]}
    result = evaluate(written(poses_of(labelled)), data).result
    # Not APL: pycocotools takes a medium person's pose for the large one's beside, where they are alike.
    assert [result["metrics"][name] for name in ("AP", "AP50", "AP75", "APM", "AR")] == [100.0] * 5
    assert result["errors"]["all"]["good"] == 100


@pytest.mark.parametrize(
    ("shift", "oks", "thresholds"),
    [(2, 0.961, 10), (3, 0.914, 9), (5, 0.779, 6), (6, 0.698, 4), (9, 0.445, 0)],
)
def test_a_known_shift(round_numbers, written, shift, oks, thresholds):
    def change(joints):
        joints[:, 0] += shift

    found = evaluate(written(poses_of(content_of(round_numbers), change)), round_numbers)
    assert found.analysis.oks == pytest.approx(np.full(8, oks), abs=1e-3)
    metrics = found.result["metrics"]
    assert metrics["AP"] == metrics["AR"] == 10 * thresholds
    assert metrics["AP50"] == (100 if oks > 0.5 else 0)
    assert metrics["AP75"] == (100 if oks > 0.75 else 0)
    kind = "good" if oks > 0.85 else "jitter" if oks > 0.5 else "miss"
    assert found.result["errors"]["all"] == dict.fromkeys(KINDS, 0) | {kind: 100}


def test_half_of_the_people(data, written):
    """Recall reaches a half: 51 of COCO's 101 recalls."""
    result = evaluate(written(poses_of(content_of(data))[::2]), data).result
    assert result["metrics"]["AP"] == round(100 * 51 / 101, 4)
    assert result["metrics"]["AR"] == 50
    assert (result["people"], result["poses"]) == (8, 4)


def test_no_poses_and_no_boxes_are_0(data, written, model_of):
    poses = evaluate(written([]), data).result
    boxes = evaluate(model_of(KnowingBackend()), data, boxes=written([], "none.json")).result
    for result in (poses, boxes):
        assert [result["metrics"][name] for name in ("AP", "AP50", "AP75", "APM", "AR")] == [0] * 5
        assert result["metrics"]["APL"] is None
        assert (result["people"], result["poses"]) == (8, 0)
        assert result["errors"]["all"] == dict.fromkeys(KINDS)


def test_a_json_says_what_was_measured(data, written):
    path = written(poses_of(content_of(data)))
    result = evaluate(path, data).result
    facts = {
        key: result[key] for key in ("dataset", "boxes", "boxes_sha256", "flip", "decode", "nms", "model")
    }
    assert facts == {
        **{"dataset": "coco", "boxes": None, "boxes_sha256": None, "flip": None, "decode": None},
        **{"nms": None, "model": "given.json"},
    }
    assert result["model_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "PCK@0.2" not in result["metrics"]


def test_poses_of_a_json_are_measured_as_they_are(data, written):
    """Without OKS-NMS: the first pose is there twice, the second time a little off, and costs precision."""
    poses = poses_of(content_of(data))
    again = poses[0] | {"score": 0.9, "keypoints": [value + 0.01 for value in poses[0]["keypoints"]]}
    result = evaluate(written([*poses, again]), data).result
    assert result["poses"] == 9
    assert result["metrics"]["AP"] == round(100 * (13 + 88 * 8 / 9) / 101, 4)


def test_written_poses_measure_the_same(round_numbers, written, model_of):
    """A shift by less than half a heatmap pixel makes numbers in between."""
    model = model_of(KnowingBackend(shift=(5.3, -2)))
    found = evaluate(model, round_numbers)
    assert 0 < found.result["metrics"]["AP"] < 100
    entries = json.loads(found.poses_json())
    assert {entry["category_id"] for entry in entries} == {4}
    again = evaluate(written(entries), round_numbers).result
    # Of a pixel three decimals are written.
    assert again["metrics"] == {k: v for k, v in found.result["metrics"].items() if k != "PCK@0.2"}
    assert again["errors"] == found.result["errors"]


def test_boxes_of_a_detector(data, written, model_of):
    boxes = boxes_of(content_of(data), [0.5] * 8)
    boxes += [boxes[0] | {"category_id": 2}, boxes[0] | {"bbox": [500, 500, 10, 10]}]
    path = written(boxes)
    result = evaluate(model_of(KnowingBackend()), data, boxes=path).result
    assert result["metrics"]["AP"] == 100
    assert "PCK@0.2" not in result["metrics"]
    assert (result["boxes"], result["nms"], result["poses"]) == ("given.json", "oks", 8)
    assert result["boxes_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert result["left_out"] == {"of a category without keypoints": 1, "a box outside its photo": 1}


def test_people_and_boxes_left_out_for_the_same_reason_are_both_counted(tmp_path, written, model_of):
    content = synthetic_people.document(3)
    boxes = boxes_of(content, [0.5] * 3)
    boxes += [boxes[0] | {"bbox": [500, y, 10, 10]} for y in (500, 600)]
    content["annotations"][2]["bbox"] = [500, 500, 10, 10]
    folder = synthetic_people.write(tmp_path / "people", content)
    result = evaluate(model_of(KnowingBackend()), folder, boxes=written(boxes)).result
    assert sum(result["left_out"].values()) == 3


@pytest.mark.parametrize(("score", "expected"), [(0.9, 50), (0.1, 100)])
def test_boxes_of_nobody(data, written, model_of, score, expected):
    """Around the noses alone: eight poses that are nobody's, before the eight right ones or behind them."""
    content = content_of(data)
    boxes = boxes_of(content, [0.5] * 8)
    for annotation in content["annotations"]:
        x, y = annotation["keypoints"][:2]
        nose = {"bbox": [x - 3, y - 3, 7, 7], "score": score}
        boxes.append({"image_id": annotation["image_id"], "category_id": 1} | nose)
    result = evaluate(model_of(KnowingBackend()), data, boxes=written(boxes)).result
    assert result["poses"] == 16
    assert result["metrics"]["AP"] == expected


@pytest.mark.parametrize(
    ("nms", "poses", "ap"),
    [
        ("oks", 8, 100),
        # The second pose comes second: 8 of 9 are right where recall is above an eighth.
        ("none", 9, round(100 * (13 + 88 * 8 / 9) / 101, 4)),
        # Its score is lowered below all others.
        ("soft", 9, 100),
    ],
)
def test_a_person_detected_twice(data, written, model_of, nms, poses, ap):
    boxes = boxes_of(content_of(data), [0.9] + [0.7] * 7)
    x, y, w, h = boxes[0]["bbox"]
    boxes.append(boxes[0] | {"bbox": [x + 1, y, w, h], "score": 0.8})
    result = evaluate(model_of(KnowingBackend()), data, boxes=written(boxes), nms=nms).result
    assert (result["nms"], result["poses"], result["metrics"]["AP"]) == (nms, poses, ap)


def test_photos_without_annotations(data, tmp_path, written, model_of):
    """As those of test-dev: poses for the server, nothing measured."""
    content = content_of(data)
    boxes = written(boxes_of(content, [0.5] * 8))
    truth = evaluate(model_of(KnowingBackend()), data, boxes=boxes)
    folder = tmp_path / "test-dev"
    folder.mkdir()
    (folder / "images").symlink_to(data / "images")
    (folder / "annotations.json").write_text(json.dumps({k: content[k] for k in ("images", "categories")}))
    results = tmp_path / "r.json"
    found = evaluate(model_of(KnowingBackend()), folder, boxes=boxes, results=results)
    assert found.poses_json() == truth.poses_json()
    assert len(json.loads(found.poses_json())) == 8
    assert (found.people, found.analysis) == (None, None)
    assert found.result["metrics"] == {}
    assert found.result["measure"] is None
    assert found.result.keys() == truth.result.keys()
    asked = model_of(UnaskedBackend())
    with pytest.raises(InputError, match="has no annotations, so nothing can be measured"):
        evaluate(asked, folder, boxes=boxes)
    with pytest.raises(InputError, match="the lists annotations are missing"):
        evaluate(asked, folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"boxes": "d.json"}, "holds poses; boxes, flip, decode, nms and config are for"),
        ({"flip_test": True}, "holds poses; boxes, flip, decode, nms and config are for"),
        ({"decode": "dark"}, "holds poses; boxes, flip, decode, nms and config are for"),
        ({"dataset": "lsp"}, "is measured with one pose of each person"),
    ],
    ids=str,
)
def test_what_poses_cannot_have(data, written, options, message):
    with pytest.raises(InputError, match=message):
        evaluate(written(poses_of(content_of(data))), data, **options)


def test_poses_of_other_categories_are_left_out(data, written):
    poses = poses_of(content_of(data))
    poses[2]["category_id"] = 18
    result = evaluate(written(poses), data).result
    assert result["left_out"] == {"of a category without keypoints": 1}
    assert result["poses"] == 7
