"""Why joints are wrong: jitter, inversion, swap or miss.

After Ronchi and Perona 2017, *Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation*, §3.1. A
joint is compared with the labelled places of the same joint and of its mirror partner, of the person found
and of everybody else in the photo; the one it is most like decides:

    good       its own, likeness at least 0.85 (the error margin of people)
    jitter     its own, 0.5 to 0.85
    inversion  its partner's on the same person, at least 0.5
    swap       either on another person, at least 0.5
    miss       none
"""

from dataclasses import dataclass

import numpy as np

from flpn_tf.data.records import People
from flpn_tf.evaluation.joints import truth_of
from flpn_tf.evaluation.pose_set import PoseSet
from flpn_tf.oks import joint_likeness, oks

KINDS = ("good", "jitter", "inversion", "swap", "miss")
_GOOD, _JITTER, _INVERSION, _SWAP, _MISS = range(len(KINDS))
_NEAR, _EXACT = 0.5, 0.85
_MATCH = 0.1  # the OKS from which a pose is of a person
_POSES_A_PHOTO = 20


@dataclass(frozen=True)
class Analysis:
    """M poses and the person each is of.

    Attributes:
        found: the poses looked at.
        poses, people: (M,) places in `found` and among the records.
        oks: (M,), 0–1.
        kinds: (M, K) places in `KINDS`; -1 where the joint is not labelled.
    """

    found: PoseSet
    poses: np.ndarray
    people: np.ndarray
    oks: np.ndarray
    kinds: np.ndarray

    def shares(self, names) -> dict[str, dict[str, float | None]]:
        """{"all" and each joint: {kind: % of the labelled joints}}, None where there is none."""
        columns = {"all": self.kinds.ravel()} | dict(zip(names, self.kinds.T, strict=True))
        return {name: _shares(kinds[kinds >= 0]) for name, kinds in columns.items()}


def analyse(people: People, found: PoseSet, own: bool = False) -> Analysis:
    """Compares poses with people.

    Args:
        people: N records, each with a labelled joint.
        found: P poses, the joints of the people's skeleton.
        own: pose i is of record i. Otherwise in each photo the 20 best poses choose, the best first, the
            person still free with whom they have the highest OKS, if that is at least 0.1; the others are
            left out.
    """
    keypoints = found.keypoints
    truth, sigmas = truth_of(people), np.array(people.skeleton.sigmas)
    areas = np.array([record.area for record in people.records])
    photos: dict[int, list[int]] = {}
    for place, record in enumerate(people.records):
        photos.setdefault(record.image_id, []).append(place)
    poses_of: dict[int, list[int]] = {}
    for place in np.argsort(-found.scores, kind="stable").tolist():
        poses_of.setdefault(int(found.image_ids[place]), []).append(place)
    rows = []
    for image_id, members in photos.items():
        poses = poses_of.get(image_id, [])
        if not poses:
            continue
        values = oks(keypoints[poses], truth[members], areas[members], sigmas)
        pairs = [(poses.index(m), i) for i, m in enumerate(members)] if own else _match(values)
        for pose, person in pairs:
            kinds = _kinds(keypoints[poses[pose]], person, truth[members], areas[members], people.skeleton)
            rows.append((poses[pose], members[person], values[pose, person], kinds))
    poses, persons, values, kinds = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Analysis(
        found,
        np.array(poses, np.int64),
        np.array(persons, np.int64),
        np.array(values, np.float64),
        np.array(kinds, np.int8).reshape(-1, len(sigmas)),
    )


def _match(values: np.ndarray) -> list[tuple[int, int]]:
    """(pose, person) pairs of one photo; `values` (P, G) with the best pose first."""
    free, pairs = np.ones(values.shape[1], bool), []
    for pose, row in enumerate(values[:_POSES_A_PHOTO]):
        best = int(np.argmax(np.where(free, row, -1)))
        if free[best] and row[best] >= _MATCH:
            free[best] = False
            pairs.append((pose, best))
    return pairs


def _kinds(pose, person: int, truth, areas, skeleton) -> np.ndarray:
    """(K,) of one pose of `person` among the (G, K, 3) people of its photo."""
    mirrored = truth[:, skeleton.flip_permutation]
    likeness = np.stack(
        [
            np.where(places[..., 2] > 0, joint_likeness(pose, places, areas, skeleton.sigmas), -1)
            for places in (truth, mirrored)
        ]
    )  # (2, G, K): own joint, partner
    same, partner = likeness[:, person]
    others = np.delete(likeness, person, axis=1).max(axis=(0, 1), initial=-1)
    kinds = np.full(len(skeleton), _MISS)
    kinds[same >= _NEAR] = _JITTER
    kinds[same >= _EXACT] = _GOOD
    kinds[(partner >= _NEAR) & (partner > same)] = _INVERSION
    kinds[(others >= _NEAR) & (others > np.maximum(same, partner))] = _SWAP
    kinds[truth[person, :, 2] == 0] = -1
    return kinds


def _shares(kinds: np.ndarray) -> dict[str, float | None]:
    counts = np.bincount(kinds, minlength=len(KINDS))
    return {
        kind: float(100 * count / len(kinds)) if len(kinds) else None
        for kind, count in zip(KINDS, counts, strict=True)
    }
