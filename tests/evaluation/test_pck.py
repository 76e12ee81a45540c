import numpy as np
import pytest

from flpn_tf.errors import InputError
from flpn_tf.evaluation.pck import part_columns, pck, torso_lengths
from flpn_tf.skeleton import COCO_17, LSP_14, MPII_16, Skeleton


def people(*points_by_person):
    """(N, K, 3), every joint labelled."""
    points = np.array(points_by_person, np.float64)
    return np.concatenate([points, np.full((*points.shape[:2], 1), 2.0)], axis=2)


def test_by_hand():
    """Two people, torsos 10 and 20, so radii 2 and 4; distances 0, 2 (hit), 3 (miss) and 5 (miss)."""
    truth = people([(0, 0), (10, 0)], [(0, 0), (10, 0)])
    predicted = people([(0, 0), (10, 2)], [(3, 4), (10, 3)])
    mean, joints = pck(predicted, truth, [10, 20])
    assert mean == 75
    np.testing.assert_array_equal(joints, [50, 100])
    mean, joints = pck(predicted, truth, [10, 10])
    assert mean == 50
    np.testing.assert_array_equal(joints, [50, 50])
    assert pck(predicted, truth, [10, 20], threshold=0.25)[0] == 100
    assert pck(predicted, truth, [10, 20], threshold=0.1)[0] == 25


def test_a_point_exactly_on_the_radius_is_a_hit():
    assert pck(people([(2, 0)]), people([(0, 0)]), [10])[0] == 100
    assert pck(people([(2.0001, 0)]), people([(0, 0)]), [10])[0] == 0


def test_only_labelled_joints_of_measured_people_count():
    truth = people([(0, 0), (5, 5)], [(0, 0), (5, 5)])
    truth[0, 1, 2] = 0
    truth[1, 1, 2] = 1  # labelled, but hidden
    predicted = people([(0, 0), (99, 99)], [(0, 0), (99, 99)])
    mean, joints = pck(predicted, truth, [10, 10])
    assert mean == pytest.approx(200 / 3)
    np.testing.assert_array_equal(joints, [100, 0])
    mean, joints = pck(predicted, truth, [10, np.nan])
    assert mean == 100
    np.testing.assert_array_equal(joints, [100, np.nan])


def test_a_prediction_that_is_no_number_is_a_miss():
    truth = people([(0, 0), (5, 5), (9, 9)])
    predicted = people([(0, 0), (np.nan, 5), (np.inf, 9)])
    assert pck(predicted, truth, [10])[0] == pytest.approx(100 / 3)


def test_nobody_to_measure_is_nan():
    mean, joints = pck(people([(0, 0)]), people([(0, 0)]), [np.nan])
    assert np.isnan(mean)
    assert np.isnan(joints).all()


@pytest.mark.parametrize("skeleton", [COCO_17, LSP_14], ids=lambda s: s.name)
def test_torso_is_left_shoulder_to_right_hip(skeleton):
    truth = np.zeros((4, len(skeleton), 3))
    shoulder, hip = skeleton.names.index("left_shoulder"), skeleton.names.index("right_hip")
    truth[:, [shoulder, hip], 2] = 2
    truth[:, shoulder, :2] = (30, 10)
    truth[:, hip, :2] = (0, 50)
    truth[1, hip, 2] = 0
    truth[2, shoulder, 2] = 0
    truth[3, hip, :2] = (30, 10)  # a torso of no length
    np.testing.assert_array_equal(torso_lengths(truth, skeleton), [50, np.nan, np.nan, np.nan])


def test_a_body_without_a_torso_is_refused():
    with pytest.raises(InputError, match="missing: left_shoulder, right_hip"):
        torso_lengths(np.zeros((1, 3, 3)), Skeleton.unnamed(3))


@pytest.mark.parametrize(
    ("skeleton", "head"), [(LSP_14, ("head_top", "neck")), (MPII_16, ("head_top",))], ids=["lsp", "mpii"]
)
def test_columns_are_means_of_both_sides(skeleton, head):
    numbers = {"Head": 10, "Shoulder": 20, "Elbow": 30, "Wrist": 40, "Hip": 50, "Knee": 60, "Ankle": 70}
    joints = np.full(len(skeleton), 99.0)  # pelvis, thorax and MPII's neck are in no column
    for part, number in numbers.items():
        members = head if part == "Head" else (f"left_{part.lower()}", f"right_{part.lower()}")
        for sign, name in zip((1, -1), members, strict=False):
            joints[skeleton.names.index(name)] = number + 5 * sign * (len(members) - 1)
    assert part_columns(skeleton.names, joints, head) == numbers


def test_columns_without_a_joint_or_without_a_number():
    names = ("left_knee", "right_knee", "left_hip")
    columns = part_columns(names, np.array([50, np.nan, 30]), ("head_top",))
    assert list(columns) == ["Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle"]
    assert columns["Hip"] == 30
    assert [part for part, value in columns.items() if not np.isnan(value)] == ["Hip"]
