"""The kinds of error by hand, and beside plain loops on random crowds."""

import math
from pathlib import Path

import numpy as np
import pytest

from flpn_tf.data.records import People, PersonRecord
from flpn_tf.evaluation.analysis import KINDS, analyse
from flpn_tf.evaluation.pose_set import PoseSet
from flpn_tf.skeleton import COCO_17, Skeleton

# σ 0.1 and area 1250 give exp(-d² / 100): 4 pixels are 0.852, 5 are 0.779, 8 are 0.527, 9 are 0.445.
AREA = 1250.0
HANDS = Skeleton("hands", ("nose", "left", "right"), ((1, 2),), (), (0.1, 0.1, 0.1))
ADA = np.array([(100, 100, 2), (70, 150, 1), (130, 150, 2)], float)
BEN = ADA + (200, 0, 0)


def people(truths, photos=None, skeleton=HANDS, areas=None):
    photos = [7] * len(truths) if photos is None else photos
    areas = [AREA] * len(truths) if areas is None else areas
    box = np.array([0.0, 0.0, 9.0, 9.0])
    records = [
        PersonRecord(Path("p.jpg"), photo, i, box, area, np.array(truth, np.float32), skeleton)
        for i, (truth, photo, area) in enumerate(zip(truths, photos, areas, strict=True))
    ]
    return People(records, Path("test.json"), "")


def poses(keypoints, photos=None, scores=None):
    count = len(keypoints)
    photos = [7] * count if photos is None else photos
    scores = np.linspace(1, 0.5, count) if scores is None else scores
    return PoseSet(np.array(photos), np.array(keypoints, float), np.array(scores, float), np.ones(count))


def kinds_of(analysis):
    return [[KINDS[kind] if kind >= 0 else None for kind in row] for row in analysis.kinds.tolist()]


def pairs_of(analysis):
    """{pose: person}"""
    return dict(zip(analysis.poses.tolist(), analysis.people.tolist(), strict=True))


def moved(joint, to, truth=ADA):
    pose = truth.copy()
    pose[joint, :2] = to
    return pose


ONE_JOINT = {
    "the place": (moved(1, (70, 150)), "good"),
    "4 pixels off": (moved(1, (74, 150)), "good"),
    "5 pixels off": (moved(1, (70, 155)), "jitter"),
    "8 pixels off": (moved(1, (70, 142)), "jitter"),
    "9 pixels off": (moved(1, (79, 150)), "miss"),
    "on the own partner": (moved(1, (130, 150)), "inversion"),
    "8 pixels off the own partner": (moved(1, (130, 158)), "inversion"),
    "9 pixels off the own partner": (moved(1, (130, 159)), "miss"),
    "on another's same joint": (moved(1, (270, 150)), "swap"),
    "on another's partner": (moved(1, (330, 150)), "swap"),
    "8 pixels off another's": (moved(1, (270, 142)), "swap"),
    "9 pixels off another's": (moved(1, (270, 141)), "miss"),
    "on an own joint that is no partner": (moved(1, (100, 100)), "miss"),
    "on another's joint that is no partner": (moved(1, (300, 100)), "miss"),
}


@pytest.mark.parametrize(("pose", "kind"), ONE_JOINT.values(), ids=ONE_JOINT)
def test_kinds_of_one_joint(pose, kind):
    analysis = analyse(people([ADA, BEN]), poses([pose]))
    assert pairs_of(analysis) == {0: 0}
    assert kinds_of(analysis) == [["good", kind, "good"]]


def test_a_joint_without_partner():
    """It is no inversion of itself, but another's is a swap."""
    truths = people([ADA, BEN])
    for to, kind in (
        ((100, 105), "jitter"),
        ((100, 200), "miss"),
        ((300, 105), "swap"),
        ((270, 150), "miss"),
    ):
        assert kinds_of(analyse(truths, poses([moved(0, to)]))) == [[kind, "good", "good"]]


def test_the_likest_place_decides():
    """The left hand has the own place 6 pixels away (0.698), its partner's 4 and another's 2."""
    ada = moved(2, (80, 150))
    pose = moved(1, (76, 150), ada)
    assert kinds_of(analyse(people([ada]), poses([pose]))) == [["good", "inversion", "good"]]
    ben = moved(2, (76, 152), BEN)
    assert kinds_of(analyse(people([ada, ben]), poses([pose]))) == [["good", "swap", "good"]]
    elsewhere = people([ada, ben], photos=[7, 8])
    assert kinds_of(analyse(elsewhere, poses([pose]))) == [["good", "inversion", "good"]]


def test_places_as_like_are_the_own():
    ada = moved(2, (78, 150))
    pose = moved(1, (74, 150), ada)
    assert kinds_of(analyse(people([ada, ada]), poses([pose]))) == [["good", "good", "good"]]


def test_unlabelled_joints():
    """Have no kind themselves, and are no place that another joint could be on."""
    ada = ADA * [[1, 1, 1], [1, 1, 1], [1, 1, 0]]
    ben = BEN * [[1, 1, 1], [1, 1, 0], [1, 1, 1]]
    for to, kind in (((130, 150), "miss"), ((270, 150), "miss"), ((330, 150), "swap")):
        analysis = analyse(people([ada, ben]), poses([moved(1, to)]))
        assert kinds_of(analysis) == [["good", kind, None]]


def test_the_area_of_whose_place_it_is():
    """Somebody four times as large forgives twice the distance."""
    for factor, kind in ((1, "miss"), (4, "swap")):
        truths = people([ADA, BEN], areas=[AREA, factor * AREA])
        assert kinds_of(analyse(truths, poses([moved(1, (270, 165))]))) == [["good", kind, "good"]]


def test_oks_and_shares():
    truths = people([ADA, BEN * [[1, 1, 1], [1, 1, 1], [1, 1, 0]]], photos=[7, 8])
    found = poses([moved(1, (70, 155)), moved(0, (300, 109), BEN)], photos=[7, 8])
    analysis = analyse(truths, found)
    assert analysis.oks == pytest.approx([(2 + math.exp(-0.25)) / 3, (1 + math.exp(-0.81)) / 2])
    none = dict.fromkeys(KINDS, 0.0)
    assert analysis.shares(HANDS.names) == {
        "all": none | {"good": 60, "jitter": 20, "miss": 20},
        "nose": none | {"good": 50, "miss": 50},
        "left": none | {"good": 50, "jitter": 50},
        "right": none | {"good": 100},
    }


def test_shares_of_a_joint_that_nobody_has():
    ada = ADA * [[1, 1, 1], [1, 1, 1], [1, 1, 0]]
    shares = analyse(people([ada]), poses([ADA])).shares(HANDS.names)
    assert shares["right"] == dict.fromkeys(KINDS)
    assert shares["all"]["good"] == 100


def test_no_poses():
    analysis = analyse(people([ADA]), poses(np.zeros((0, 3, 3)), scores=[]))
    assert len(analysis.poses) == len(analysis.people) == len(analysis.oks) == 0
    assert analysis.kinds.shape == (0, 3)
    assert analysis.shares(HANDS.names) == dict.fromkeys(["all", *HANDS.names], dict.fromkeys(KINDS))


def test_the_best_pose_chooses_first():
    """Both are nearest to Ada; the one of the higher score gets her, the other one Ben."""
    ben = ADA + (8, 0, 0)
    near, nearer = ADA + (3, 0, 0), ADA + (1, 0, 0)
    for scores, expected in (([0.9, 0.8], [0, 1]), ([0.8, 0.9], [1, 0])):
        analysis = analyse(people([ADA, ben]), poses([near, nearer], scores=scores))
        assert pairs_of(analysis) == dict(enumerate(expected))


@pytest.mark.parametrize(("distance", "matched"), [(15.1, 1), (15.2, 0)])
def test_poses_less_like_than_a_tenth_are_left_out(distance, matched):
    """exp(-d² / 100) is 0.1 at 15.17 pixels."""
    analysis = analyse(people([ADA]), poses([ADA + (distance, 0, 0)]))
    assert len(analysis.poses) == matched


def test_poses_of_other_photos_and_of_nobody_are_left_out():
    truths = people([ADA, BEN], photos=[7, 8])
    analysis = analyse(truths, poses([ADA, ADA, ADA, BEN], photos=[8, 9, 7, 7]))
    assert pairs_of(analysis) == {2: 0}


def test_twenty_poses_a_photo():
    away = ADA + (0, 900, 0)
    for others, matched in ((19, 1), (20, 0)):
        found = poses([ADA] + [away] * others, scores=[0.1] + [0.2] * others)
        assert len(analyse(people([ADA]), found).poses) == matched


def test_own_poses():
    """Of several people in a photo each has its own, also where it is far, or nearer to another."""
    truths = people([ADA, BEN, ADA, BEN], photos=[7, 7, 3, 7])
    found = poses([BEN, ADA + (0, 400, 0), ADA, BEN], photos=[7, 7, 3, 7], scores=[0.1, 0.9, 0.3, 0.5])
    analysis = analyse(truths, found, own=True)
    assert sorted(analysis.poses.tolist()) == [0, 1, 2, 3]
    assert analysis.people.tolist() == analysis.poses.tolist()
    kinds = dict(zip(analysis.people.tolist(), kinds_of(analysis), strict=True))
    assert kinds == {0: ["swap"] * 3, 1: ["miss"] * 3, 2: ["good"] * 3, 3: ["good"] * 3}
    oks = dict(zip(analysis.people.tolist(), analysis.oks.tolist(), strict=True))
    assert oks == pytest.approx({0: 0, 1: 0, 2: 1, 3: 1})


def test_somebody_without_labels():
    """As where the model lacks all joints that somebody has."""
    truths, found = people([ADA * (1, 1, 0), BEN]), poses([ADA, BEN])
    analysis = analyse(truths, found)
    assert pairs_of(analysis) == {1: 1}
    analysis = analyse(truths, found, own=True)
    assert dict(zip(analysis.people.tolist(), kinds_of(analysis), strict=True))[0] == [None] * 3


def test_own_poses_of_more_than_twenty_people():
    truths = people([ADA + (0, 300 * i, 0) for i in range(23)])
    found = poses([ADA + (0, 300 * i, 0) for i in range(23)])
    analysis = analyse(truths, found, own=True)
    assert sorted(analysis.people.tolist()) == list(range(23))
    assert analysis.oks == pytest.approx(1)


def random_crowd(skeleton, rng):
    """People of three photos who stand in each other's way, and poses that mix up their joints."""
    count, joints = 12, len(skeleton)
    truth = np.dstack([rng.uniform(0, 60, (count, joints, 2)), rng.choice([0, 1, 2], (count, joints))])
    truth[:, 0, 2] = 2
    photos = rng.integers(3, size=count)
    truths = people(truth, photos.tolist(), skeleton, rng.uniform(20, 60, count) ** 2)
    order = rng.permutation(count)
    found = truth[order, :, :2] + rng.normal(size=(count, joints, 2)) * rng.choice(
        [0.3, 3, 8], (count, joints, 1)
    )
    rivals = np.array([rng.choice(np.flatnonzero(photos == photos[i])) for i in order])
    wrong = rng.uniform(size=(count, joints))
    found[wrong < 0.15] = truth[order][:, skeleton.flip_permutation, :2][wrong < 0.15]
    found[wrong > 0.85] = truth[rivals][..., :2][wrong > 0.85]
    return truths, poses(np.dstack([found, wrong]), photos[order], rng.uniform(size=count)), order


def like(a, b, area, sigma):
    return math.exp(-((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) / (2 * area * (2 * sigma) ** 2))


def slow_oks(pose, record):
    sigmas = record.skeleton.sigmas
    values = [
        like(p, j, record.area, sigma)
        for p, j, sigma in zip(pose, record.keypoints, sigmas, strict=True)
        if j[2] > 0
    ]
    return sum(values) / len(values)


def slow_kind(pose, joint, record, rivals):
    """Ronchi and Perona 2017, §3.1."""
    if record.keypoints[joint, 2] == 0:
        return None
    partner = dict(record.skeleton.flip_pairs + tuple(pair[::-1] for pair in record.skeleton.flip_pairs)).get(
        joint
    )
    # The own place first: of equals it counts.
    places = [("own", record, joint), ("inversion", record, partner)]
    places += [("swap", rival, place) for rival in rivals for place in (joint, partner)]
    likes = [
        (name, like(pose[joint], who.keypoints[place], who.area, who.skeleton.sigmas[joint]))
        for name, who, place in places
        if place is not None and who.keypoints[place, 2] > 0
    ]
    name, likeness = max(likes, key=lambda found: found[1])
    if likeness < 0.5:
        return "miss"
    if name != "own":
        return name
    return "good" if likeness >= 0.85 else "jitter"


def slow_pairs(truths, found):
    """{pose: person}"""
    pairs = {}
    for image_id in {record.image_id for record in truths.records}:
        free = [i for i, record in enumerate(truths.records) if record.image_id == image_id]
        rivals = [i for i in range(len(found)) if found.image_ids[i] == image_id]
        for pose in sorted(rivals, key=lambda i: -found.scores[i]):
            values = {i: slow_oks(found.keypoints[pose], truths.records[i]) for i in free}
            best = max(values, key=values.get, default=None)
            if best is not None and values[best] >= 0.1:
                pairs[pose] = best
                free.remove(best)
    return pairs


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("skeleton", [COCO_17, HANDS], ids=lambda s: s.name)
def test_beside_loops(skeleton, seed, own):
    truths, found, order = random_crowd(skeleton, np.random.default_rng(seed))
    if own:
        back = np.argsort(order)
        found = PoseSet(found.image_ids[back], found.keypoints[back], found.scores[back], found.areas)
        pairs = {i: i for i in range(len(truths))}
    else:
        pairs = slow_pairs(truths, found)
    analysis = analyse(truths, found, own)
    assert pairs_of(analysis) == pairs
    rows = zip(analysis.poses, analysis.people, analysis.oks, kinds_of(analysis), strict=True)
    for pose, person, value, kinds in rows:
        record = truths.records[person]
        rivals = [r for r in truths.records if r.image_id == record.image_id and r is not record]
        joints = found.keypoints[pose]
        assert value == pytest.approx(slow_oks(joints, record), abs=1e-9)
        assert kinds == [slow_kind(joints, joint, record, rivals) for joint in range(len(skeleton))]
    shares = analysis.shares(skeleton.names)
    assert all(
        sum(share.values()) == pytest.approx(100) for share in shares.values() if share["good"] is not None
    )
    if skeleton is COCO_17:
        assert all(shares["all"][kind] > 1 for kind in KINDS)
