"""AP beside plain numpy, beside pycocotools on the json itself, and the traps of pycocotools."""

import contextlib
import copy
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import random_crowds
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from flpn_tf.data.records import People, PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.evaluation.coco_eval import ap_by_size, keypoint_ap
from flpn_tf.skeleton import COCO_17, Skeleton

THRESHOLDS = np.linspace(0.5, 0.95, 10)
NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
RECALLS = np.linspace(0, 1, 101)
TWO_JOINTS = Skeleton("two", ("a", "b"), (), (), (0.05, 0.1))


def people(keypoints, skeleton, areas=400.0, photos=None):
    """One person a photo by default; ids from 0, as those of data sets without any."""
    keypoints = np.asarray(keypoints, np.float32)
    areas = np.broadcast_to(areas, len(keypoints))
    photos = range(len(keypoints)) if photos is None else photos
    records = []
    for place, (joints, area, photo) in enumerate(zip(keypoints, areas.tolist(), photos, strict=True)):
        side = area**0.5
        box = np.array([*joints[0, :2], side, side])
        records.append(PersonRecord(Path("p.jpg"), photo, place, box, area, joints, skeleton))
    return People(records, Path("test.json"), "")


def random_people(skeleton, rng, count, photos):
    joints = rng.uniform(20, 200, (count, len(skeleton), 2))
    labels = rng.choice([0, 1, 2], (count, len(skeleton), 1))
    labels[:, 0] = 2
    areas = rng.uniform(40, 90, count) ** 2
    return people(np.dstack([joints, labels]), skeleton, areas, rng.integers(photos, size=count).tolist())


def poses_of(people, rng=None, noise=0.0):
    """The truth, moved by `noise` person sizes."""
    truth = np.stack([record.keypoints for record in people.records]).astype(np.float64)
    if rng is not None:
        side = np.sqrt([record.area for record in people.records])[:, None, None]
        truth[..., :2] += rng.normal(size=truth[..., :2].shape) * side * noise
    return truth


def oks(record, pose):
    """https://cocodataset.org/#keypoints-eval"""
    k = 2 * np.array(record.skeleton.sigmas)
    labelled = record.keypoints[:, 2] > 0
    squared = ((pose[:, :2] - record.keypoints[:, :2]) ** 2).sum(axis=1)
    return np.exp(-squared / (2 * record.area * k**2))[labelled].mean()


def reference_ap(people, poses, scores):
    """(AP, AR) by the definition: in each photo the best pose first takes the best person still free."""
    order = np.argsort(-scores, kind="stable")
    precisions, recalls = [], []
    for threshold in THRESHOLDS:
        free, hits = set(range(len(people))), []
        for pose in order:
            photo = people.records[pose].image_id
            rivals = [p for p in free if people.records[p].image_id == photo]
            found = {person: oks(people.records[person], poses[pose]) for person in rivals}
            best = max(found, key=found.get, default=None)
            hits.append(best is not None and found[best] >= threshold)
            if hits[-1]:
                free.remove(best)
        true = np.cumsum(hits)
        recall, precision = true / len(people), true / np.arange(1, len(hits) + 1)
        highest = [precision[recall >= r].max(initial=0.0) for r in RECALLS]
        precisions.append(np.mean(highest))
        recalls.append(recall[-1])
    return 100 * np.mean(precisions), 100 * np.mean(recalls)


def test_by_hand():
    """Joint a is 3 pixels off, exp(-9 / (2 · 400 · 0.1²)) = 0.3247, b is right: OKS 0.662 passes 4 of 10."""
    one = people([[(10, 10, 2), (30, 10, 2)]], TWO_JOINTS)
    result = keypoint_ap(one, [[(13, 10, 0.5), (30, 10, 0.5)]], [1.0])
    expected = dict(zip(NAMES, (40, 100, 0, None, None) * 2, strict=True))
    assert result == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("skeleton", [COCO_17, TWO_JOINTS, Skeleton.unnamed(5)], ids=lambda s: s.name)
def test_against_numpy(skeleton, seed):
    rng = np.random.default_rng(seed)
    crowd = random_people(skeleton, rng, 24, photos=8)
    poses, scores = poses_of(crowd, rng, noise=0.07), rng.uniform(size=24)
    result = keypoint_ap(crowd, poses, scores)
    assert 5 < result["AP"] < 95
    assert (result["AP"], result["AR"]) == pytest.approx(reference_ap(crowd, poses, scores))


def test_the_truth_is_100():
    crowd = random_people(COCO_17, np.random.default_rng(0), 12, photos=4)
    result = keypoint_ap(crowd, poses_of(crowd), np.linspace(0.1, 1, 12))
    assert result == pytest.approx(dict.fromkeys(NAMES, 100) | {"APL": None, "ARL": None})


def test_farther_is_lower():
    crowd = random_people(COCO_17, np.random.default_rng(0), 12, photos=12)
    scores = np.ones(12)
    found = []
    for shift in (0, 2, 4, 8, 16, 64):
        poses = poses_of(crowd)
        poses[..., 0] += shift
        found.append(keypoint_ap(crowd, poses, scores)["AP"])
    assert found[0] == pytest.approx(100)
    assert found[-1] == 0
    assert all(far < near or far == 0 for near, far in zip(found, found[1:], strict=False))


def test_scores_decide_the_order():
    """A miss that ranks above the hit halves the precision, below it costs nothing but recall."""
    pair = people([[(10, 10, 2), (30, 10, 2)]] * 2, TWO_JOINTS)
    poses = poses_of(pair)
    poses[1, :, :2] += 500
    assert keypoint_ap(pair, poses, [0.9, 0.1])["AP"] == pytest.approx(100 * 51 / 101)
    assert keypoint_ap(pair, poses, [0.1, 0.9])["AP"] == pytest.approx(100 * 51 / 101 / 2)


def test_unlabelled_joints_do_not_count():
    one = people([[(10, 10, 2), (0, 0, 0)]], TWO_JOINTS)
    assert keypoint_ap(one, [[(10, 10, 1), (400, 400, 1)]], [1.0])["AP"] == pytest.approx(100)


def test_people_without_labels_do_not_count():
    crowd = people([[(10, 10, 2), (30, 10, 2)], [(0, 0, 0), (0, 0, 0)]], TWO_JOINTS)
    assert keypoint_ap(crowd, poses_of(crowd), [0.5, 1.0])["AP"] == pytest.approx(100)
    nobody = people([[(0, 0, 0), (0, 0, 0)]], TWO_JOINTS)
    assert set(keypoint_ap(nobody, poses_of(nobody), [1.0]).values()) == {None}


def test_sizes_of_people():
    """Medium is 32² to 96² square pixels, large is above; only the large one is missed."""
    crowd = people([[(10, 10, 2), (40, 10, 2)]] * 3, TWO_JOINTS, areas=[31**2, 50**2, 100**2])
    poses = poses_of(crowd)
    poses[2, :, 0] += 500
    result = keypoint_ap(crowd, poses, [0.9, 0.8, 0.1])
    assert (result["APM"], result["ARM"]) == pytest.approx((100, 100))
    assert (result["APL"], result["ARL"]) == (0, 0)
    assert result["AR"] == pytest.approx(100 * 2 / 3)


def test_several_poses_of_a_photo_and_none():
    """The second pose of a photo is a miss; the photo without a pose costs recall."""
    pair = people([[(10, 10, 2), (30, 10, 2)]] * 2, TWO_JOINTS, photos=[7, 9])
    poses = poses_of(pair)[[1, 1]]
    poses[0, :, :2] += 500
    result = keypoint_ap(pair, poses, [0.9, 0.1], np.array([9, 9]))
    assert result["AP"] == pytest.approx(100 * 51 / 101 / 2)
    assert result["AR"] == pytest.approx(50)


def test_no_poses():
    """0, not COCOeval's -1; None only where nobody is of that size."""
    pair = people([[(10, 10, 2), (30, 10, 2)]] * 2, TWO_JOINTS, areas=[50**2, 400.0])
    result = keypoint_ap(pair, np.zeros((0, 2, 3)), [], [])
    assert result == dict.fromkeys(NAMES, 0) | {"APL": None, "ARL": None}


@pytest.fixture
def crowd():
    """A function: the json of a good person, and of another with these values, read; with the good pose and
    one in a heap beside it."""

    def crowd(folder, **values):
        document = random_crowds.document(random_crowds.FIVE, np.random.default_rng(0), photos=2)
        joints = [(100, 100), (140, 120), (100, 140), (140, 160), (120, 180)]
        good = {"id": 1, "image_id": 7, "category_id": 1, "iscrowd": 0, "num_keypoints": 5, "area": 60.0**2}
        good |= {"bbox": [100, 100, 40, 80], "keypoints": np.column_stack([joints, [2] * 5]).ravel().tolist()}
        other = good | {"id": 2, "keypoints": [0] * 15, "num_keypoints": 0, "bbox": [300, 300, 60, 60]}
        document["annotations"] = [good, other | values]
        poses = np.dstack([[joints, np.add(joints, 200)], np.ones((2, 5))])
        return random_crowds.read(document, folder), poses

    return crowd


@pytest.mark.parametrize("image_id", [7, 17])
@pytest.mark.parametrize("iscrowd", [0, 1])
def test_poses_in_crowds_and_people_without_labels_count_neither_way(tmp_path, crowd, iscrowd, image_id):
    people, poses = crowd(tmp_path, iscrowd=iscrowd, image_id=image_id)
    assert len(people) == 1
    for photo, expected in ((image_id, 100), (24 - image_id, 50)):
        result = keypoint_ap(people, poses, [0.5, 0.9], [7, photo])
        assert result["AP"] == pytest.approx(expected)
        assert result["AR"] == pytest.approx(100)


def test_a_crowd_is_compared_by_its_labels_if_it_has_any(tmp_path, crowd):
    labels = np.column_stack([np.full((5, 2), 500), np.full(5, 2)]).ravel().tolist()
    people, poses = crowd(tmp_path, iscrowd=1, keypoints=labels, num_keypoints=5)
    assert keypoint_ap(people, poses, [0.5, 0.9], [7, 7])["AP"] == pytest.approx(50)
    poses[1, :, :2] = 500
    assert keypoint_ap(people, poses, [0.5, 0.9], [7, 7])["AP"] == pytest.approx(100)


def test_a_photo_without_people(tmp_path, crowd):
    """A pose in it is a miss, unlike one in a photo that is not there."""
    people, poses = crowd(tmp_path)
    assert keypoint_ap(people, poses, [0.5, 0.9], [7, 17])["AP"] == pytest.approx(50)
    with pytest.raises(InputError, match=r"annotations.json: has no such photos. Received: image ids \[18\]"):
        keypoint_ap(people, poses, [0.5, 0.9], [7, 18])


def test_labelled_people_beside_their_photo_count(tmp_path, crowd):
    joints = [(900, 100, 2), (940, 120, 1), (900, 140, 2), (940, 160, 2), (0, 0, 0)]
    values = {"bbox": [900, 100, 40, 80], "keypoints": np.ravel(joints).tolist(), "num_keypoints": 4}
    people, poses = crowd(tmp_path, **values)
    assert len(people) == 1
    assert keypoint_ap(people, poses, [0.9, 0.5], [7, 7])["AR"] == pytest.approx(50)
    poses[1, :, :2] = np.array(joints)[:, :2]
    assert keypoint_ap(people, poses, [0.9, 0.5], [7, 7])["AR"] == pytest.approx(100)


def plain_pycocotools(path, results, sigmas):
    """The ten numbers as pycocotools has them; it changes what it is given."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        evaluator = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array(sigmas)
        for step in (evaluator.evaluate, evaluator.accumulate, evaluator.summarize):
            step()
    return {name: 100 * value for name, value in zip(NAMES, evaluator.stats.tolist(), strict=True)}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("skeleton", random_crowds.SKELETONS, ids=lambda s: s.name)
def test_a_json_equals_pycocotools(skeleton, seed, tmp_path):
    rng = np.random.default_rng(seed)
    document = random_crowds.document(skeleton, rng)
    results = random_crowds.poses(document, rng)
    crowd = random_crowds.read(document, tmp_path)
    assert {region.crowd for region in crowd.coco.uncounted} == {False, True}
    assert {bool(region.keypoints[:, 2].any()) for region in crowd.coco.uncounted} == {False, True}
    found = keypoint_ap(crowd, *random_crowds.arrays(results))
    assert found == plain_pycocotools(crowd.source, results, skeleton.sigmas)
    assert 10 < found["AP"] < 90
    alone = dataclasses.replace(crowd, coco=crowd.coco._replace(uncounted=[]))
    assert keypoint_ap(alone, *random_crowds.arrays(results))["AP"] != pytest.approx(found["AP"])


def test_twenty_poses_a_photo():
    crowd = random_people(TWO_JOINTS, np.random.default_rng(0), 25, photos=1)
    assert keypoint_ap(crowd, poses_of(crowd), np.ones(25))["AR"] == pytest.approx(100 * 20 / 25)


def test_pycocotools_stays_silent(capsys):
    one = people([[(10, 10, 2), (30, 10, 2)]], TWO_JOINTS)
    keypoint_ap(one, poses_of(one), [1.0])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value):
    one = people([[(10, 10, 2), (30, 10, 2)]], TWO_JOINTS)
    poses = poses_of(one)
    poses[0, 0, 0] = value
    with pytest.raises(InputError, match="NaN or infinite"):
        keypoint_ap(one, poses, [1.0])
    with pytest.raises(InputError, match="NaN or infinite"):
        keypoint_ap(one, poses_of(one), [value])


def test_poses_of_other_people_are_refused():
    one = people([[(10, 10, 2), (30, 10, 2)]], TWO_JOINTS)
    with pytest.raises(InputError, match=r"Received: \(1, 3, 3\), \(1,\)"):
        keypoint_ap(one, np.zeros((1, 3, 3)), [1.0])
    with pytest.raises(InputError, match=r"Received: \(1, 2, 3\), \(2,\)"):
        keypoint_ap(one, np.zeros((1, 2, 3)), [1.0, 1.0])


def test_poses_of_unknown_photos_are_refused():
    one = people([[(10, 10, 2), (30, 10, 2)]], TWO_JOINTS)
    with pytest.raises(InputError, match=r"test.json: has no such photos. Received: image ids \[3, 5\]"):
        keypoint_ap(one, np.zeros((3, 2, 3)), np.ones(3), [5, 0, 3])


def test_ap_by_size_is_apm_and_apl():
    rng = np.random.default_rng(5)
    crowd = random_people(COCO_17, rng, 60, photos=9)
    poses, scores = poses_of(crowd, rng, noise=0.06), rng.uniform(size=60)
    image_ids = [record.image_id for record in crowd.records]
    whole = keypoint_ap(crowd, poses, scores)
    medium, large, none = ap_by_size(crowd, poses, scores, image_ids, (32, 96, 1e5, 2e5))
    assert medium == whole["APM"]
    assert large == whole["APL"]
    assert none is None
