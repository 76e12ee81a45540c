"""AP and PCK together, joints met by name."""

import dataclasses

import numpy as np
import pytest
from synthetic_people import SKELETON

from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation.metrics import has_torsos, people_metrics
from flpn_tf.skeleton import Skeleton

AP_NAMES = ["AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL"]
SCORES, AREAS = np.ones(8), np.full(8, 9000.0)


@pytest.fixture(scope="module")
def people(data):
    return read_people(data)


def skeleton_of(*names):
    return Skeleton("other", names, (), (), (0.05,) * len(names))


def unlabelled(people, *names):
    records = []
    for record in people.records:
        keypoints = record.keypoints.copy()
        keypoints[[SKELETON.names.index(name) for name in names], 2] = 0
        records.append(dataclasses.replace(record, keypoints=keypoints))
    return dataclasses.replace(people, records=records)


def poses_of(people, skeleton=SKELETON, **shifts):
    """The truth in a skeleton's order, unknown joints far away, some joints moved right."""
    poses = np.full((len(people), len(skeleton), 3), 900.0)
    for place, name in enumerate(skeleton.names):
        if name in SKELETON.names:
            joint = SKELETON.names.index(name)
            poses[:, place] = [record.keypoints[joint] for record in people.records]
            poses[:, place, 0] += shifts.get(name, 0)
    return poses


def test_the_truth_is_100(people):
    result = people_metrics(people, poses_of(people), SCORES, AREAS)
    assert list(result) == [*AP_NAMES, "PCK@0.2"]
    assert result["PCK@0.2"] == 100
    assert result["AP"] == pytest.approx(100)


def test_a_joint_off_by_half_a_torso(people):
    result = people_metrics(people, poses_of(people, nose=25), SCORES, AREAS)
    assert result["PCK@0.2"] == pytest.approx(100 * 6 / 7)
    assert 50 < result["AP"] < 100


def test_joints_meet_by_name(people):
    """Another order, one joint more, and two fewer: what only one side has does not count."""
    here = people_metrics(
        unlabelled(people, "left_ankle", "right_ankle"), poses_of(people, nose=9), SCORES, AREAS
    )
    skeleton = skeleton_of("tail", *SKELETON.names[4::-1])
    there = people_metrics(people, poses_of(people, skeleton, nose=9), SCORES, AREAS, skeleton)
    assert there == here
    assert 50 < there["AP"] < 100


def test_the_sigmas_are_the_peoples(people):
    """Another number in the model's skeleton does not change what the data are measured by."""
    loose = dataclasses.replace(SKELETON, sigmas=(9.0,) * 7)
    poses = poses_of(people, nose=9)
    assert people_metrics(people, poses, SCORES, AREAS, loose) == people_metrics(people, poses, SCORES, AREAS)


def test_the_torso_is_of_the_truth(people):
    skeleton = skeleton_of("nose", "right_shoulder", "left_hip", "left_ankle")
    result = people_metrics(people, poses_of(people, skeleton, nose=25), SCORES, AREAS, skeleton)
    assert result["PCK@0.2"] == 75


def test_without_torsos_there_is_no_pck(people):
    assert has_torsos(people)
    armless = unlabelled(people, "left_shoulder")
    assert not has_torsos(armless)
    assert list(people_metrics(armless, poses_of(people), SCORES, AREAS)) == AP_NAMES
    renamed = Skeleton("feet", tuple(f"toe_{i}" for i in range(7)), (), (), SKELETON.sigmas)
    records = [dataclasses.replace(record, skeleton=renamed) for record in people.records]
    feet = dataclasses.replace(people, records=records)
    assert not has_torsos(feet)
    assert list(people_metrics(feet, poses_of(people), SCORES, AREAS)) == AP_NAMES


def test_nothing_to_count_is_none(people):
    """The model's joints are those that nobody has labelled."""
    names = ("nose", "right_shoulder", "left_hip", "left_ankle")
    result = people_metrics(
        unlabelled(people, *names), np.zeros((8, 4, 3)), SCORES, AREAS, skeleton_of(*names)
    )
    assert set(result.values()) == {None}


def test_ap_is_of_the_best_of_poses_too_alike_and_pck_of_all(people):
    """Both poses of the first photo are on its second person; two of three people are found."""
    records = [dataclasses.replace(people.records[i], image_id=photo) for i, photo in enumerate((1, 1, 2))]
    records[0] = dataclasses.replace(records[0], keypoints=records[0].keypoints + np.float32([500, 0, 0]))
    three = dataclasses.replace(people, records=records, coco=None)
    poses, scores = poses_of(three), np.array([0.9, 1.0, 0.8])
    poses[0] = poses[1] + 1
    # As large as a person one pixel is nothing. In a pose of one square pixel it is much, and the wrong pose
    # stays before the last right one.
    merged, kept = (people_metrics(three, poses, scores, np.full(3, area)) for area in (9000, 1))
    assert merged["AP"] == pytest.approx(100 * 67 / 101)
    assert kept["AP"] == pytest.approx(100 * (34 + 33 * 2 / 3) / 101)
    assert merged["PCK@0.2"] == kept["PCK@0.2"] == pytest.approx(100 * 2 / 3)


def test_too_few_common_joints_is_refused(people):
    skeleton = skeleton_of("nose", "left_hip", "a", "b", "c", "d")
    with pytest.raises(InputError, match="share 2 joints, fewer than half"):
        people_metrics(people, np.zeros((8, 6, 3)), SCORES, AREAS, skeleton)
