"""OKS and its suppressions beside plain loops, and beside pycocotools."""

import contextlib
import copy
import io
import math

import numpy as np
import pytest
import random_crowds
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from flpn_tf.oks import joint_likeness, oks, oks_nms, soft_oks_nms
from flpn_tf.skeleton import COCO_17

unhurried = settings(deadline=None)


def slow_likeness(a, b, area, sigma):
    squared = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
    return math.exp(-squared / (2 * area * (2 * sigma) ** 2))


def slow_oks(pose, person, area, sigmas, box):
    """https://cocodataset.org/#keypoints-eval; without labels, how far joints are from the enlarged box."""
    values = []
    for point, joint, sigma in zip(pose, person, sigmas, strict=True):
        if any(v > 0 for _, _, v in person):
            nearest = joint[:2]
            if joint[2] == 0:
                continue
        else:
            (x, y, w, h) = box
            nearest = min(max(point[0], x - w), x + 2 * w), min(max(point[1], y - h), y + 2 * h)
        values.append(slow_likeness(point, nearest, area, sigma))
    return sum(values) / len(values)


def slow_mean(a, b, area_a, area_b, sigmas):
    pairs = zip(a, b, sigmas, strict=True)
    return sum(slow_likeness(p, q, (area_a + area_b) / 2, sigma) for p, q, sigma in pairs) / len(sigmas)


def slow_nms(keypoints, scores, areas, sigmas, threshold):
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        likes = [slow_mean(keypoints[i], keypoints[k], areas[i], areas[k], sigmas) for k in kept]
        if all(like <= threshold for like in likes):
            kept.append(i)
    return kept


def slow_soft_nms(keypoints, scores, areas, sigmas, threshold, count):
    left, kept = dict(enumerate(scores)), []
    while left and len(kept) < count:
        best = max(left, key=left.get)
        kept.append((best, left.pop(best)))
        for i in left:
            like = slow_mean(keypoints[i], keypoints[best], areas[i], areas[best], sigmas)
            left[i] *= math.exp(-(like**2) / threshold)
    return kept


def random_people(rng, count, joints):
    """(people, areas, boxes), a third of them without labels, the second always."""
    boxes = np.column_stack([rng.uniform(0, 200, (count, 2)), rng.uniform(20, 120, (count, 2))])
    points = boxes[:, None, :2] + boxes[:, None, 2:] * rng.uniform(size=(count, joints, 2))
    labels = rng.choice([0, 1, 2], (count, joints))
    labels[:, 0] = 2
    labels[rng.uniform(size=count) < 0.3] = labels[1] = 0
    return np.dstack([points, labels]), boxes[:, 2:].prod(axis=1) * rng.uniform(0.3, 1, count), boxes


def random_poses(rng, count, sigmas):
    """(keypoints, scores, areas) in a few heaps; no two scores are equal."""
    heaps = rng.uniform(0, 300, (3, len(sigmas), 2))[rng.integers(3, size=count)]
    points = heaps + rng.normal(size=heaps.shape) * rng.choice([1, 6], (count, 1, 1))
    scores = rng.permutation(np.linspace(0.05, 0.95, count))
    return np.dstack([points, rng.uniform(size=points.shape[:2])]), scores, rng.uniform(30, 90, count) ** 2


SEEDS = pytest.mark.parametrize("seed", range(5))
ALL = pytest.mark.parametrize("skeleton", random_crowds.SKELETONS, ids=lambda s: s.name)


@SEEDS
@ALL
def test_oks_beside_loops(skeleton, seed):
    rng = np.random.default_rng(seed)
    people, areas, boxes = random_people(rng, 9, len(skeleton))
    near = people[rng.integers(9, size=12), :, :2] + rng.normal(size=(12, len(skeleton), 2)) * 15
    poses = np.concatenate([near, rng.uniform(-900, 900, (3, len(skeleton), 2))])
    everybody = list(zip(people, areas, boxes, strict=True))
    expected = [
        [slow_oks(pose, person, area, skeleton.sigmas, box) for person, area, box in everybody]
        for pose in poses
    ]
    found = oks(poses, people, areas, skeleton.sigmas, boxes)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert (found > 0.3).sum() > 10
    labelled = (people[..., 2] > 0).any(axis=1)
    assert not labelled.all()
    alone = oks(poses, people, areas, skeleton.sigmas)
    np.testing.assert_array_equal(alone[:, labelled], found[:, labelled])
    assert (alone[:, ~labelled] == 0).all()


@SEEDS
@ALL
def test_oks_equals_pycocotools(skeleton, seed):
    """In each photo of a random json: crowds, people without labels, without area, beside the photo."""
    rng = np.random.default_rng(seed)
    document = random_crowds.document(skeleton, rng)
    results = sorted(random_crowds.poses(document, rng), key=lambda result: -result["score"])
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = document
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(copy.deepcopy(results)), "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
        evaluator.evaluate()
    compared = []
    for (image_id, _), expected in evaluator.ious.items():
        people, poses = truth.imgToAnns[image_id], [r for r in results if r["image_id"] == image_id][:20]
        if not people or not poses:
            continue
        found = oks(
            random_crowds.arrays(poses)[0],
            np.reshape([person["keypoints"] for person in people], (len(people), -1, 3)),
            [person["area"] for person in people],
            skeleton.sigmas,
            [person["bbox"] for person in people],
        )
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
        compared += found.ravel().tolist()
    assert len(compared) > 200
    assert np.sum(np.array(compared) > 0.1) > 30


def test_oks_by_hand():
    """σ 0.1 and area 200 give exp(-d² / 16); of four joints the unlabelled one does not count."""
    person = [[(0, 0, 2), (10, 0, 1), (20, 0, 2), (30, 0, 0)]]
    pose = [[(0, 0), (10, 4), (20, 8), (500, 500)]]
    expected = (1 + math.exp(-1) + math.exp(-4)) / 3
    assert oks(pose, person, [200.0], [0.1] * 4) == pytest.approx(np.array([[expected]]))


def test_a_person_without_labels_is_compared_by_the_enlarged_box():
    """The box at 100, 40 wide, reaches from 60 to 180; the joint at 188 is 8 beyond."""
    box, person = [[100.0, 100.0, 40.0, 40.0]], np.zeros((1, 2, 3))
    poses = [[(60, 60), (180, 180)], [(188, 120), (120, 120)]]
    found = oks(poses, person, [200.0], [0.1, 0.1], box)
    assert found == pytest.approx(np.array([[1], [(math.exp(-4) + 1) / 2]]))


def test_likeness_of_joints_broadcasts():
    rng = np.random.default_rng(0)
    poses, people = rng.uniform(0, 30, (4, 1, 17, 3)), rng.uniform(0, 30, (5, 17, 2))
    areas = rng.uniform(200, 900, 5)
    found = joint_likeness(poses, people, areas, COCO_17.sigmas)
    assert found.shape == (4, 5, 17)
    for i, j, k in np.ndindex(found.shape):
        expected = slow_likeness(poses[i, 0, k], people[j, k], areas[j], COCO_17.sigmas[k])
        assert found[i, j, k] == pytest.approx(expected, abs=1e-12)


def test_people_without_area():
    """As pycocotools, which adds the least float: only the very place is like it."""
    found = oks([[(5, 5)], [(5, 6)]], [[(5, 5, 2)]], [0.0], [0.1])
    assert found.tolist() == [[1], [0]]


def test_nobody():
    none = np.zeros((0, 3, 3))
    three = np.ones((1, 3, 3))
    assert oks(none, three, [9.0], [0.1] * 3).shape == (0, 1)
    assert oks(three, none, [], [0.1] * 3, np.zeros((0, 4))).shape == (1, 0)


LINE = np.array([[(0.0, 0.0, 1.0)], [(2.0, 0.0, 1.0)], [(4.0, 0.0, 1.0)]])
# σ 0.1 and areas whose means are 100 give exp(-d² / 8).
HUNDRED = ([100.0, 100.0, 100.0], [0.1])
NEAR, FAR = math.exp(-4 / 8), math.exp(-16 / 8)


@pytest.mark.parametrize(
    ("scores", "threshold", "kept"),
    [
        ([0.9, 0.8, 0.7], NEAR - 0.01, [0, 2]),  # 2 is like 1, but 1 is gone
        ([0.9, 0.8, 0.7], NEAR + 0.01, [0, 1, 2]),
        ([0.7, 0.9, 0.8], NEAR - 0.01, [1]),
        ([0.7, 0.8, 0.9], FAR - 0.01, [2]),
        ([0.7, 0.8, 0.9], NEAR + 0.01, [2, 1, 0]),
        ([0.5, 0.5, 0.5], NEAR - 0.01, [0, 2]),
    ],
)
def test_nms_by_hand(scores, threshold, kept):
    assert oks_nms(LINE, scores, *HUNDRED, threshold).tolist() == kept


def test_of_equal_scores_the_first_is_first():
    """Also of many, which an unstable sort mixes."""
    rng = np.random.default_rng(0)
    apart, scores = np.arange(120.0).reshape(60, 1, 2) * 100, rng.choice([0.25, 0.5, 0.75], 60)
    poses = apart, scores, np.full(60, 100.0), [0.1]
    expected = sorted(range(60), key=lambda i: (-scores[i], i))
    assert oks_nms(*poses).tolist() == expected
    assert soft_oks_nms(*poses, count=60)[0].tolist() == expected


def test_nms_takes_the_mean_of_two_areas():
    """Areas 20 and 180, too, are exp(-d² / 8) apart; either alone is not."""
    for areas in ([20.0, 180.0], [180.0, 20.0]):
        assert oks_nms(LINE[:2], [0.9, 0.8], areas, [0.1], NEAR - 0.01).tolist() == [0]
        assert oks_nms(LINE[:2], [0.9, 0.8], areas, [0.1], NEAR + 0.01).tolist() == [0, 1]


def test_soft_nms_by_hand():
    """2 overtakes 1, which is lowered by both of its neighbours."""
    near, far = math.exp(-(NEAR**2) / 0.9), math.exp(-(FAR**2) / 0.9)
    places, scores = soft_oks_nms(LINE, [0.9, 0.8, 0.7], *HUNDRED)
    assert places.tolist() == [0, 2, 1]
    assert scores == pytest.approx([0.9, 0.7 * far, 0.8 * near * near])
    places, scores = soft_oks_nms(LINE, [0.9, 0.8, 0.7], *HUNDRED, count=2)
    assert places.tolist() == [0, 2]
    assert scores == pytest.approx([0.9, 0.7 * far])


@SEEDS
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_nms_beside_loops(seed, threshold):
    rng = np.random.default_rng(seed)
    keypoints, scores, areas = random_poses(rng, 20, COCO_17.sigmas)
    kept = oks_nms(keypoints, scores, areas, COCO_17.sigmas, threshold)
    assert kept.tolist() == slow_nms(keypoints, scores, areas, COCO_17.sigmas, threshold)
    assert len(kept) < 20


@SEEDS
@pytest.mark.parametrize(("threshold", "count"), [(0.2, 50), (0.9, 7)])
def test_soft_nms_beside_loops(seed, threshold, count):
    rng = np.random.default_rng(seed)
    keypoints, scores, areas = random_poses(rng, 24, COCO_17.sigmas)
    places, lowered = soft_oks_nms(keypoints, scores, areas, COCO_17.sigmas, threshold, count)
    expected = slow_soft_nms(keypoints, scores, areas, COCO_17.sigmas, threshold, count)
    assert places.tolist() == [place for place, _ in expected]
    assert lowered == pytest.approx([score for _, score in expected], abs=1e-12)
    assert not np.allclose(lowered, np.sort(scores)[::-1][: len(lowered)])


points = st.tuples(st.integers(0, 12), st.integers(0, 12))
crowds = st.lists(st.tuples(points, points, st.integers(50, 200)), min_size=0, max_size=8)


def as_arrays(crowd):
    keypoints = np.array([(a, b) for a, b, _ in crowd], float).reshape(-1, 2, 2)
    return keypoints, np.array([area for *_, area in crowd], float)


@unhurried
@given(crowds, st.floats(0.01, 0.99), st.randoms(use_true_random=False))
def test_what_nms_keeps(crowd, threshold, random):
    keypoints, areas = as_arrays(crowd)
    sigmas, scores = [0.1, 0.15], np.array(random.sample(range(100), len(crowd)), float)
    kept = oks_nms(keypoints, scores, areas, sigmas, threshold).tolist()
    assert kept == sorted(kept, key=lambda i: -scores[i])

    def like(i, j):
        return slow_mean(keypoints[i], keypoints[j], areas[i], areas[j], sigmas)

    assert all(like(i, j) <= threshold + 1e-9 for i in kept for j in kept if i != j)
    for gone in set(range(len(crowd))) - set(kept):
        assert any(like(gone, i) > threshold - 1e-9 and scores[i] > scores[gone] for i in kept)

    order = np.array(random.sample(range(len(crowd)), len(crowd)), int)
    again = oks_nms(keypoints[order], scores[order], areas[order], sigmas, threshold)
    assert order[again].tolist() == kept
    assert sorted(oks_nms(keypoints, scores, areas, sigmas, 1.0)) == list(range(len(crowd)))


@unhurried
@given(crowds, st.integers(1, 10), st.randoms(use_true_random=False))
def test_what_soft_nms_keeps(crowd, count, random):
    keypoints, areas = as_arrays(crowd)
    scores = np.array(random.sample(range(1, 100), len(crowd)), float)
    places, lowered = soft_oks_nms(keypoints, scores, areas, [0.1, 0.15], count=count)
    assert len(places) == len(lowered) == min(count, len(crowd))
    assert len(set(places.tolist())) == len(places)
    assert (np.diff(lowered) <= 0).all()
    assert (lowered <= scores[places]).all()
    if len(crowd):
        assert (places[0], lowered[0]) == (np.argmax(scores), scores.max())


@pytest.mark.parametrize("suppress", [oks_nms, lambda *poses: soft_oks_nms(*poses)[0]], ids=["oks", "soft"])
def test_one_pose_and_none(suppress):
    assert suppress(np.zeros((1, 17, 3)), [0.3], [100.0], COCO_17.sigmas).tolist() == [0]
    none = suppress(np.zeros((0, 17, 3)), [], [], COCO_17.sigmas)
    assert none.shape == (0,)
    assert none.dtype == np.int64
