"""PCK and AP together, joints met by name."""

import dataclasses

import numpy as np
import pytest
import synthetic_people
from synthetic_people import SKELETON

from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation.metrics import has_torsos, people_metrics
from flpn_tf.skeleton import Skeleton

AP_NAMES = ["AP", "AP50", "AP75", "APm", "APl", "AR"]


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = synthetic_people.write(tmp_path_factory.mktemp("data") / "people", synthetic_people.document())
    return read_people(folder)


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
    result = people_metrics(people, poses_of(people), np.ones(8))
    assert list(result) == ["PCK@0.2", *AP_NAMES]
    assert result["PCK@0.2"] == 100
    assert result["AP"] == pytest.approx(100)


def test_a_joint_off_by_half_a_torso(people):
    result = people_metrics(people, poses_of(people, nose=25), np.ones(8))
    assert result["PCK@0.2"] == pytest.approx(100 * 6 / 7)
    assert 50 < result["AP"] < 100


def test_joints_meet_by_name(people):
    """Another order, one joint more, and two fewer: what only one side has does not count."""
    here = people_metrics(
        unlabelled(people, "left_ankle", "right_ankle"), poses_of(people, nose=9), np.ones(8)
    )
    skeleton = skeleton_of("tail", *SKELETON.names[4::-1])
    there = people_metrics(people, poses_of(people, skeleton, nose=9), np.ones(8), skeleton)
    assert there == here
    assert 50 < there["AP"] < 100


def test_the_sigmas_are_the_peoples(people):
    """Another number in the model's skeleton does not change what the data are measured by."""
    loose = dataclasses.replace(SKELETON, sigmas=(9.0,) * 7)
    poses = poses_of(people, nose=9)
    assert people_metrics(people, poses, np.ones(8), loose) == people_metrics(people, poses, np.ones(8))


def test_the_torso_is_of_the_truth(people):
    skeleton = skeleton_of("nose", "right_shoulder", "left_hip", "left_ankle")
    result = people_metrics(people, poses_of(people, skeleton, nose=25), np.ones(8), skeleton)
    assert result["PCK@0.2"] == 75


def test_without_torsos_there_is_no_pck(people):
    assert has_torsos(people)
    armless = unlabelled(people, "left_shoulder")
    assert not has_torsos(armless)
    assert list(people_metrics(armless, poses_of(people), np.ones(8))) == AP_NAMES
    renamed = Skeleton("feet", tuple(f"toe_{i}" for i in range(7)), (), (), SKELETON.sigmas)
    records = [dataclasses.replace(record, skeleton=renamed) for record in people.records]
    feet = dataclasses.replace(people, records=records)
    assert not has_torsos(feet)
    assert list(people_metrics(feet, poses_of(people), np.ones(8))) == AP_NAMES


def test_nothing_to_count_is_none(people):
    """The model's joints are those that nobody has labelled."""
    names = ("nose", "right_shoulder", "left_hip", "left_ankle")
    result = people_metrics(unlabelled(people, *names), np.zeros((8, 4, 3)), np.ones(8), skeleton_of(*names))
    assert set(result.values()) == {None}


def test_too_few_common_joints_is_refused(people):
    skeleton = skeleton_of("nose", "left_hip", "a", "b", "c", "d")
    with pytest.raises(InputError, match="share 2 joints, fewer than half"):
        people_metrics(people, np.zeros((8, 6, 3)), np.ones(8), skeleton)
