"""Boxes and poses in COCO's results format, good ones and what other tools make of it."""

import contextlib
import hashlib
import io
import json

import numpy as np
import pytest
import synthetic_people
from pycocotools.coco import COCO

from flpn_tf.data.coco import read_coco_photos
from flpn_tf.data.coco_results import poses_json, read_detections, read_poses
from flpn_tf.data.findings import Findings
from flpn_tf.errors import InputError

NAN, INF = float("nan"), float("inf")
JOINTS = len(synthetic_people.NAMES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return synthetic_people.write(tmp_path_factory.mktemp("good"), synthetic_people.document(people=3))


@pytest.fixture(scope="module")
def coco(folder):
    return read_coco_photos(folder / "annotations.json", folder / "images")


def detection(**values):
    return {"image_id": 101, "category_id": 1, "bbox": [10, 20, 30, 40], "score": 0.5} | values


def pose(**values):
    keypoints = [value / 4 for value in range(3 * JOINTS)]
    return {"image_id": 101, "category_id": 1, "keypoints": keypoints, "score": 0.5} | values


def written(tmp_path, document):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document))
    return path


def test_detections(folder, coco, tmp_path):
    boxes = [
        detection(),
        detection(image_id=100, bbox=[-5.5, 0, 20, 200], score=1),
        detection(score=-0.25),
        detection(category_id=18),
        detection(bbox=[200, 0, 5, 5]),
    ]
    findings, path = Findings(), written(tmp_path, boxes)
    records, sha256 = read_detections(path, coco, findings)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found = [(record.person_id, record.image_id, record.box_score) for record in records]
    assert found == [(0, 101, 0.5), (1, 100, 1.0), (2, 101, -0.25)]
    np.testing.assert_array_equal(records[0].box, [10, 20, 29, 39])
    np.testing.assert_array_equal(records[1].box, [0, 0, 13.5, 119])
    assert records[0].area == 29 * 39
    assert records[0].image == folder / "images" / "1.png"
    assert records[0].image_size == (synthetic_people.WIDTH, synthetic_people.HEIGHT)
    assert records[0].skeleton == synthetic_people.SKELETON
    np.testing.assert_array_equal(records[0].keypoints, np.zeros((JOINTS, 3)))
    left_out = {"of a category without keypoints": ["3"], "a box outside its photo": ["4"]}
    assert findings == Findings(left_out=left_out)


def test_poses(coco, tmp_path):
    path = written(tmp_path, [pose(), pose(category_id=18, keypoints=None), pose(image_id=100, score=-2)])
    image_ids, keypoints, scores, sha256 = read_poses(path, coco)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (image_ids.tolist(), scores.tolist()) == ([101, 100], [0.5, -2])
    assert (image_ids.dtype, keypoints.dtype, scores.dtype) == (np.int64, np.float64, np.float64)
    np.testing.assert_array_equal(keypoints, [np.reshape(pose()["keypoints"], (JOINTS, 3))] * 2)


def test_nothing_found(coco, tmp_path):
    path = written(tmp_path, [])
    assert read_detections(path, coco)[0] == []
    image_ids, keypoints, scores, _ = read_poses(path, coco)
    assert (image_ids.shape, keypoints.shape, scores.shape) == ((0,), (0, JOINTS, 3), (0,))


BAD_OF_BOTH = {
    "a NaN score": ({"score": NAN}, "score must be a finite number. Received: nan"),
    "an infinite score": ({"score": -INF}, "score must be a finite number. Received: -inf"),
    "a score that is a text": ({"score": "0.5"}, "score must be a finite number. Received: '0.5'"),
    "a score that is a list": ({"score": [0.5]}, "score must be a finite number. Received: [0.5]"),
    "no score": ({"score": None}, "score must be a finite number. Received: None"),
    "an unknown image": ({"image_id": 5}, "there is no image with its image_id. Received: 5"),
    "an image_id that is a text": (
        {"image_id": "100"},
        "there is no image with its image_id. Received: '100'",
    ),
    "an image_id that is a list": (
        {"image_id": [100]},
        "there is no image with its image_id. Received: [100]",
    ),
    "no image_id": ({"image_id": None}, "there is no image with its image_id. Received: None"),
}
BAD_DETECTIONS = BAD_OF_BOTH | {
    "three numbers": ({"bbox": [1, 2, 3]}, "bbox must be 4 finite numbers. Received: [1, 2, 3]"),
    "no box": ({"bbox": None}, "bbox must be 4 finite numbers. Received: None"),
    "an endless box": ({"bbox": [1, 2, 3, INF]}, "bbox must be 4 finite numbers. Received: [1, 2, 3, inf]"),
    "a box of texts": ({"bbox": ["1"] * 4}, "bbox must be 4 finite numbers. Received: ['1', '1', '1', '1']"),
    "a box twice": ({}, "is the same as number 0; remove one"),
    "a box twice, otherwise written": ({"bbox": [10.0, 20.0, 30.0, 40.0]}, "is the same as number 0"),
}
FORM = f"keypoints (x, y, score of {JOINTS}) must be {3 * JOINTS} finite numbers. Received: "
BAD_POSES = BAD_OF_BOTH | {
    "too few joints": ({"keypoints": [1, 2, 0.5] * 2}, FORM + "[1, 2, 0.5, 1, 2, 0.5]"),
    "too many joints": ({"keypoints": [1] * (3 * JOINTS + 3)}, FORM + "[1, 1, 1"),
    "points without scores": ({"keypoints": [1] * (2 * JOINTS)}, FORM + "[1, 1, 1"),
    "nested joints": ({"keypoints": [[1, 2, 0.5]] * JOINTS}, FORM + "[[1, 2, 0.5]"),
    "a NaN joint": ({"keypoints": [NAN] + [1] * (3 * JOINTS - 1)}, FORM + "[nan, 1"),
    "an infinite joint": ({"keypoints": [INF] + [1] * (3 * JOINTS - 1)}, FORM + "[inf, 1"),
    "no joints": ({"keypoints": None}, FORM + "None"),
    "a pose twice": ({}, "is the same as number 0; remove one"),
}


@pytest.mark.parametrize(("values", "message"), BAD_DETECTIONS.values(), ids=BAD_DETECTIONS)
def test_bad_detections(coco, tmp_path, values, message):
    path = written(tmp_path, [detection(), detection(**values), detection(score=0.75)])
    with pytest.raises(InputError) as caught:
        read_detections(path, coco)
    assert str(caught.value).startswith(f"{path}: detection number 1: {message}")
    assert "\n" not in str(caught.value)
    findings = Findings(collect=True)
    records, _ = read_detections(path, coco, findings)
    assert [record.person_id for record in records] == [0, 2]
    assert sum(findings.errors.values(), []) == [str(caught.value)]


@pytest.mark.parametrize(("values", "message"), BAD_POSES.values(), ids=BAD_POSES)
def test_bad_poses(coco, tmp_path, values, message):
    path = written(tmp_path, [pose(), pose(**values)])
    with pytest.raises(InputError) as caught:
        read_poses(path, coco)
    assert str(caught.value).startswith(f"{path}: pose number 1: {message}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def changed_joints(place, value):
    keypoints = pose()["keypoints"]
    keypoints[place] = value
    return {"keypoints": keypoints}


@pytest.mark.parametrize(
    "values",
    [{"image_id": 100}, {"score": 0.25}, changed_joints(0, 9), changed_joints(-1, 0)],
    ids=["photo", "score", "joint", "score of a joint"],
)
def test_alike_is_not_twice(coco, tmp_path, values):
    assert len(read_poses(written(tmp_path, [pose(), pose(**values)]), coco)[0]) == 2


def test_two_boxes_of_one_score_and_two_scores_of_one_box(coco, tmp_path):
    boxes = [detection(), detection(bbox=[10, 20, 30, 41]), detection(score=0.25), detection(image_id=100)]
    assert len(read_detections(written(tmp_path, boxes), coco)[0]) == 4


def test_a_category_without_keypoints_may_hold_anything(coco, tmp_path):
    other = {"category_id": 18, "image_id": "elsewhere", "bbox": NAN, "keypoints": NAN, "score": NAN}
    assert len(read_detections(written(tmp_path, [detection(), other, other]), coco)[0]) == 1
    assert len(read_poses(written(tmp_path, [pose(), other, other]), coco)[0]) == 1


OTHER_JSONS = {
    "a dict": {},
    "a COCO json": synthetic_people.document(people=1),
    "a dict of photos": {"1.jpg": [[1, 2, 3, 4]]},
    "lists": [[1, 2, 3, 4]],
    "None in it": [detection(), None],
    "a number": 5,
    "null": None,
    "names of other things": [{"image": "1.png", "box": [1, 2, 3, 4], "points": [1, 2]}],
    "segments": [{"image_id": 101, "category_id": 1, "segmentation": {}, "score": 0.5}],
}
READERS = {"detections": read_detections, "poses": read_poses}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("document", OTHER_JSONS.values(), ids=OTHER_JSONS)
def test_jsons_of_other_tools(coco, tmp_path, kind, document):
    with pytest.raises(InputError, match=f"results.json: is no json of {kind}, .*Received: ") as caught:
        READERS[kind](written(tmp_path, document), coco)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_boxes_are_no_poses_and_poses_no_boxes(coco, tmp_path):
    with pytest.raises(InputError, match="is no json of poses, no entry has keypoints. Received: .*'bbox'"):
        read_poses(written(tmp_path, [detection()]), coco)
    with pytest.raises(
        InputError, match="is no json of detections, no entry has bbox. Received: .*'keypoints'"
    ):
        read_detections(written(tmp_path, [pose()]), coco)


@pytest.mark.parametrize("kind", READERS)
def test_files_that_cannot_be_read(coco, tmp_path, kind):
    path = tmp_path / "results.json"
    for content in (b"[", b"", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="results.json: is not JSON"):
            READERS[kind](path, coco)
    with pytest.raises(InputError, match="nowhere.json: cannot be read"):
        READERS[kind](tmp_path / "nowhere.json", coco)


def test_a_missing_photo(tmp_path):
    folder = synthetic_people.write(tmp_path / "data", synthetic_people.document(people=3))
    coco = read_coco_photos(folder / "annotations.json", folder / "images")
    (folder / "images" / "1.png").unlink()
    path = written(tmp_path, [detection(image_id=100), detection(), detection(score=0.75)])
    with pytest.raises(InputError, match=r"1 of its 2 photos are missing, first .*1\.png of person 1"):
        read_detections(path, coco)
    findings = Findings(collect=True)
    records, _ = read_detections(path, coco, findings)
    assert [record.person_id for record in records] == [0]
    assert [len(messages) for messages in findings.errors.values()] == [2]
    poses = written(tmp_path, [pose()])
    assert len(read_poses(poses, coco)[0]) == 1  # nobody looks at their photos


def random_poses(count):
    rng = np.random.default_rng(count)
    keypoints = rng.uniform(-50, 5000, (count, JOINTS, 3))
    return rng.choice([100, 101, 102], count), keypoints, rng.uniform(-1, 3, count)


@pytest.mark.parametrize("count", [0, 1, 40])
def test_round_trip(coco, tmp_path, count):
    image_ids, keypoints, scores = random_poses(count)
    path = tmp_path / "poses.json"
    path.write_text(poses_json(image_ids, keypoints, scores, 1))
    found = read_poses(path, coco)
    np.testing.assert_array_equal(found[0], image_ids)
    np.testing.assert_allclose(found[1], keypoints, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(found[2], scores)


def test_pycocotools_reads_the_poses(folder, tmp_path):
    image_ids, keypoints, scores = random_poses(12)
    path = tmp_path / "poses.json"
    path.write_text(poses_json(image_ids, keypoints, scores, 1))
    with contextlib.redirect_stdout(io.StringIO()):
        found = COCO(str(folder / "annotations.json")).loadRes(str(path))
    poses = found.loadAnns(sorted(found.getAnnIds()))
    assert [found["image_id"] for found in poses] == image_ids.tolist()
    assert [found["score"] for found in poses] == scores.tolist()
    np.testing.assert_allclose([p["keypoints"] for p in poses], keypoints.reshape(12, -1), rtol=0, atol=1e-3)


def test_the_submitted_format():
    """The four keys of cocodataset.org/#format-results, plain numbers, one pose a line."""
    image_ids, keypoints = np.array([9, 8]), np.full((2, 1, 3), [[1.23456, 2, 0.5]], np.float32)
    text = poses_json(image_ids, keypoints, np.array([0.25, 0.5], np.float32), 3)
    assert len(text.splitlines()) == 2
    expected = {"image_id": 9, "category_id": 3, "keypoints": [1.235, 2.0, 0.5], "score": 0.25}
    assert json.loads(text) == [expected, expected | {"image_id": 8, "score": 0.5}]
