import numpy as np
import pytest

from flpn_tf.errors import InputError
from flpn_tf.evaluation.pck import pck, torso_lengths
from flpn_tf.skeleton import COCO_17, LSP_14, Skeleton


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
