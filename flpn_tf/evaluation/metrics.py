"""The metrics of COCO's protocol: AP, and PCK where each person has a pose of its own."""

import numpy as np

from flpn_tf.data.records import People
from flpn_tf.evaluation.coco_eval import keypoint_ap
from flpn_tf.evaluation.joints import joint_pairs, of_joints, truth_of
from flpn_tf.evaluation.pck import PCK, TORSO, pck, torso_lengths
from flpn_tf.evaluation.pose_set import PoseSet
from flpn_tf.skeleton import Skeleton


def people_metrics(
    people: People,
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    skeleton: Skeleton | None = None,
) -> dict[str, float | None]:
    """Measures one pose a record, as `flpn evaluate` does with ground-truth boxes.

    Args:
        people: N records.
        keypoints: (N, K, 3) (x, y, score), image pixels, in the records' order.
        scores, areas: (N,), as of `PoseSet`.
        skeleton: of the poses, by default the people's. Joints meet by name, those that only one of the two
            has are left out.

    Returns:
        0–100, None where there is nothing to count: those of `keypoint_ap` and, if `has_torsos`, `PCK`.

    Raises:
        InputError: the skeletons share fewer than half of their joints, or as `keypoint_ap`.
    """
    theirs, ours = joint_pairs(people.skeleton, skeleton or people.skeleton)
    image_ids = np.array([record.image_id for record in people.records], np.int64)
    poses = PoseSet(image_ids, np.asarray(keypoints), np.asarray(scores), np.asarray(areas)).of_joints(ours)
    # The torso is of the truth, so the model need not know its joints.
    return coco_metrics(of_joints(people, theirs), poses, "oks", torsos_of(people))[0]


def coco_metrics(
    people: People, poses: PoseSet, nms: str, torsos: np.ndarray | None = None
) -> tuple[dict[str, float | None], PoseSet]:
    """Metrics, and the poses that `nms` leaves for AP.

    Args:
        people: N records.
        poses: of any number, the joints of the people's skeleton.
        nms: as of `PoseSet.suppressed`.
        torsos: (N,) of `torsos_of`, where pose i is of record i and PCK is wanted, which is of all poses.
    """
    kept = poses.suppressed(nms, people.skeleton.sigmas)
    metrics = keypoint_ap(people, kept.keypoints, kept.scores, kept.image_ids)
    if torsos is not None:
        mean, _ = pck(poses.keypoints, truth_of(people), torsos)
        metrics[PCK] = None if np.isnan(mean) else float(mean)
    return metrics, kept


def has_torsos(people: People) -> bool:
    """Whether the people's skeleton has the torso's joints and somebody has both labelled."""
    return torsos_of(people) is not None


def torsos_of(people: People) -> np.ndarray | None:
    """(N,) `torso_lengths` of the people, or None where nobody has one."""
    if not set(TORSO) <= set(people.skeleton.names):
        return None
    lengths = torso_lengths(truth_of(people), people.skeleton)
    return lengths if np.isfinite(lengths).any() else None
