"""AP beside plain numpy, and the traps of pycocotools."""

from pathlib import Path

import numpy as np
import pytest

from flpn_tf.data.records import People, PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.evaluation.coco_eval import keypoint_ap
from flpn_tf.skeleton import COCO_17, Skeleton

THRESHOLDS = np.linspace(0.5, 0.95, 10)
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
    expected = {"AP": 40, "AP50": 100, "AP75": 0, "APm": None, "APl": None, "AR": 40}
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
    assert result.pop("APl") is None
    assert result == pytest.approx(dict.fromkeys(["AP", "AP50", "AP75", "APm", "AR"], 100))


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
    assert result["APm"] == pytest.approx(100)
    assert result["APl"] == 0
    assert result["AR"] == pytest.approx(100 * 2 / 3)


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
