"""What can be measured of poses on a data set: PCK where there are torsos, AP always."""

import dataclasses

import numpy as np

from flpn_tf.data.records import People
from flpn_tf.evaluation.coco_eval import keypoint_ap
from flpn_tf.evaluation.pck import PCK, TORSO, pck, torso_lengths
from flpn_tf.skeleton import Skeleton


def people_metrics(
    people: People, keypoints: np.ndarray, scores: np.ndarray, skeleton: Skeleton | None = None
) -> dict[str, float | None]:
    """Measures one pose a record.

    Args:
        people: N records.
        keypoints: (N, K, 3) (x, y, score), image pixels, in the records' order.
        scores: (N,) of the poses.
        skeleton: of the poses, by default the people's. Joints meet by name, those that only one of the two
            has are left out.

    Returns:
        0–100, None where there is nothing to count: those of `keypoint_ap` and, if `has_torsos`, `PCK`.

    Raises:
        InputError: the skeletons share fewer than half of their joints, or as `keypoint_ap`.
    """
    theirs, ours = joint_pairs(people.skeleton, skeleton or people.skeleton)
    keypoints = np.asarray(keypoints)[:, ours]
    metrics = {}
    if has_torsos(people):
        # The torso is of the truth, so the model need not know its joints.
        truth = np.stack([record.keypoints for record in people.records])
        mean, _ = pck(keypoints, truth[:, theirs], torso_lengths(truth, people.skeleton))
        metrics[PCK] = None if np.isnan(mean) else float(mean)
    return metrics | keypoint_ap(_of_joints(people, theirs), keypoints, scores)


def has_torsos(people: People) -> bool:
    """Whether the people's skeleton has the torso's joints and somebody has both labelled."""
    if not set(TORSO) <= set(people.skeleton.names):
        return False
    truth = np.stack([record.keypoints for record in people.records])
    return bool(np.isfinite(torso_lengths(truth, people.skeleton)).any())


def joint_pairs(data: Skeleton, model: Skeleton) -> tuple[list[int], list[int]]:
    """The places in both of the joints of the same name, in the data's order.

    Raises:
        InputError: they are fewer than half of the smaller skeleton's.
    """
    theirs, ours = zip(*data.match(model), strict=True)
    return list(theirs), list(ours)


def _of_joints(people: People, joints: list[int]) -> People:
    """The people with these joints alone, to be measured: pairs and limbs are left out."""
    whole = people.skeleton
    if joints == list(range(len(whole))):
        return people
    names, sigmas = ([values[joint] for joint in joints] for values in (whole.names, whole.sigmas))
    skeleton = Skeleton(whole.name, names, (), (), sigmas)
    records = [
        dataclasses.replace(record, keypoints=record.keypoints[joints], skeleton=skeleton)
        for record in people.records
    ]
    return dataclasses.replace(people, records=records)
