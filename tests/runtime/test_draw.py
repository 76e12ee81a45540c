import numpy as np
import pytest

from flpn_tf.runtime.draw import draw_joints, draw_poses
from flpn_tf.runtime.poses import Poses
from flpn_tf.skeleton import COCO_17, Skeleton

PAIR = Skeleton("pair", ("left_hand", "right_hand", "head"), ((0, 1),), ((0, 1), (0, 2)), (0.1,) * 3)


def one(keypoints, skeleton=PAIR, box=(0, 0, 100, 100)):
    return Poses(np.array([box], float), np.array([keypoints], float), np.ones(1), skeleton)


@pytest.fixture
def black():
    return np.zeros((100, 100, 3), np.uint8)


def test_joints_are_drawn_where_they_are_with_sides_apart(black):
    drawn = draw_poses(black, one([[20, 50, 1], [80, 50, 1], [50, 10, 0]]))
    assert (black == 0).all(), "the photo itself must not change"
    left, right, middle = drawn[50, 20].astype(int), drawn[50, 80].astype(int), drawn[50, 50].astype(int)
    assert left.any()
    assert right.any()
    assert middle.any(), "the limb"
    assert np.abs(left - right).max() > 100
    assert (drawn[:40] == 0).all(), "a joint without score, and its limb, are left out"


def test_width_grows_with_the_person(black):
    keypoints = [[20, 50, 1], [80, 50, 1], [0, 0, 0]]
    small = draw_poses(black, one(keypoints))
    large = draw_poses(black, one(keypoints, box=(0, 0, 600, 600)))
    assert (large > 0).sum() > 2 * (small > 0).sum()


def test_joints_far_outside_and_empty_poses_are_fine(black):
    draw_poses(black, one([[1e12, -1e12, 1], [-1e9, 4, 1], [5, 5, 1]]))
    nobody = Poses(np.zeros((0, 4)), np.zeros((0, 17, 3)), np.zeros(0), COCO_17)
    np.testing.assert_array_equal(draw_poses(black, nobody), black)


def test_a_wide_picture_has_its_last_joints_too():
    drawn = draw_poses(np.zeros((20, 40_000, 3), np.uint8), one([[39_000, 10, 1], [0, 0, 0], [0, 0, 0]]))
    assert abs(np.flatnonzero(drawn.any(axis=(0, 2))).mean() - 39_000) < 2


def test_hollow_joints_are_rings(black):
    points = np.array([[20.0, 50], [80, 50], [50, 10]])
    grey = black + 90
    draw_joints(grey, points, np.array([True, True, False]), PAIR, 3, np.array([False, True, True]))
    assert (grey[50, 80] == 0).all()
    assert (grey[45:56, 75:86] != grey[45:56, 15:26]).any(axis=2).sum() > 60, "another colour, and the hole"
    assert grey[50, 20].any()
    assert (grey[:40] == 90).all(), "not shown, hollow or not"


@pytest.mark.parametrize(
    "names", [("l_hip", "r_hip"), ("hip_l", "hip_r"), ("LeftHip", "RightHip"), ("hip L", "R")]
)
def test_sides_are_known_by_short_names_too(black, names):
    """As in `Skeleton`, which makes them a flip pair."""
    drawn = []
    for skeleton in (PAIR, Skeleton("short", (*names, "ball"), ((0, 1),), ((0, 1), (0, 2)), (0.1,) * 3)):
        drawn.append(draw_poses(black, one([[20, 50, 1], [80, 50, 1], [50, 10, 1]], skeleton)))
    np.testing.assert_array_equal(*drawn)
