import numpy as np
import pytest

from flpn_tf.errors import InputError
from flpn_tf.evaluation.pose_set import NMS, PoseSet, check_nms
from flpn_tf.oks import oks_nms, soft_oks_nms
from flpn_tf.skeleton import COCO_17

SIGMAS = COCO_17.sigmas


def random_poses(seed=0, photos=5, count=60):
    """Heaps of poses that are alike, the photos mixed."""
    rng = np.random.default_rng(seed)
    heaps = rng.uniform(0, 400, (3, 17, 2))[rng.integers(3, size=count)]
    points = heaps + rng.normal(size=heaps.shape) * rng.choice([0.5, 5], (count, 1, 1))
    return PoseSet(
        rng.integers(photos, size=count) * 11,
        np.dstack([points, rng.uniform(size=(count, 17))]),
        rng.permutation(np.linspace(0.05, 0.95, count)),
        rng.uniform(50, 90, count) ** 2,
    )


def same(a, b):
    return all(
        np.array_equal(getattr(a, n), getattr(b, n)) for n in ("image_ids", "keypoints", "scores", "areas")
    )


def test_the_same_pose_in_two_photos_stays():
    """Of one photo the better one does."""
    pose = np.ones((1, 17, 3))
    poses = PoseSet(
        np.array([7, 3, 7]), np.repeat(pose, 3, axis=0), np.array([0.4, 0.2, 0.9]), np.full(3, 99.0)
    )
    kept = poses.suppressed("oks", SIGMAS)
    assert dict(zip(kept.image_ids.tolist(), kept.scores.tolist(), strict=True)) == {3: 0.2, 7: 0.9}
    soft = poses.suppressed("soft", SIGMAS)
    assert soft.image_ids.tolist() == [3, 7, 7]
    assert soft.scores == pytest.approx([0.2, 0.9, 0.4 * np.exp(-1 / 0.9)])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("nms", ["oks", "soft"])
def test_each_photo_by_itself(nms, seed):
    poses = random_poses(seed)
    kept = poses.suppressed(nms, SIGMAS)
    assert len(kept) < len(poses) if nms == "oks" else not np.isin(kept.scores, poses.scores).all()
    for image_id in set(poses.image_ids.tolist()):
        photo = np.flatnonzero(poses.image_ids == image_id)
        own = poses.keypoints[photo], poses.scores[photo], poses.areas[photo], SIGMAS
        if nms == "oks":
            places = oks_nms(*own)
            scores = own[1][places]
        else:
            places, scores = soft_oks_nms(*own)
        rows = np.flatnonzero(kept.image_ids == image_id)
        assert (np.diff(rows) == 1).all()
        np.testing.assert_array_equal(kept.keypoints[rows], poses.keypoints[photo[places]])
        np.testing.assert_array_equal(kept.scores[rows], scores)
        np.testing.assert_array_equal(kept.areas[rows], poses.areas[photo[places]])
        assert (np.diff(kept.scores[rows]) <= 0).all()
    assert set(kept.image_ids.tolist()) == set(poses.image_ids.tolist())


def test_soft_keeps_twenty_poses_a_photo():
    kept = random_poses(photos=2).suppressed("soft", SIGMAS)
    assert np.bincount(kept.image_ids).tolist() == [20] + [0] * 10 + [20]


def test_none_keeps_all_as_they_are():
    poses = random_poses()
    assert same(poses.suppressed("none", SIGMAS), poses)


@pytest.mark.parametrize("nms", NMS)
def test_no_poses(nms):
    none = PoseSet(np.zeros(0, np.int64), np.zeros((0, 17, 3)), np.zeros(0), np.zeros(0))
    assert same(none.suppressed(nms, SIGMAS), none)
    assert len(none) == 0


def test_of_joints():
    poses = random_poses()
    some = poses.of_joints([5, 0])
    np.testing.assert_array_equal(some.keypoints, poses.keypoints[:, [5, 0]])
    assert same(some, PoseSet(poses.image_ids, some.keypoints, poses.scores, poses.areas))
    assert len(some) == len(poses) == 60


def test_other_suppressions_are_refused():
    for nms in NMS:
        check_nms(nms)
    with pytest.raises(InputError, match="nms must be one of oks, soft, none. Received: 'hard'"):
        check_nms("hard")
