"""OKS, the likeness of two poses, and the suppression of poses by it. Needs numpy only.

    P, G   poses, people
    K      joints
    σ      a joint's constant of the `Skeleton`
    area   of a person, square image pixels

A joint's likeness is exp(-d² / (2 · area · (2σ)²)), d being the distance in image pixels; OKS is its mean
over a person's labelled joints (cocodataset.org/#keypoints-eval).
"""

import numpy as np

NMS_THRESHOLD = 0.9  # Xiao et al. 2018
SOFT_NMS_POSES = 20  # poses a photo that COCO counts
_TINY = np.spacing(1)  # what pycocotools adds to an area


def joint_likeness(points, others, areas, sigmas) -> np.ndarray:
    """The likeness of each joint, 0–1.

    Args:
        points, others: (…, K, 2 or more) (x, y, …), image pixels.
        areas: (…).
        sigmas: (K,).

    Returns:
        (…, K) float64, the leading shapes broadcast.
    """
    points, others = np.asarray(points, np.float64), np.asarray(others, np.float64)
    squared = ((points[..., :2] - others[..., :2]) ** 2).sum(axis=-1)
    return _likeness(squared, areas, sigmas)


def _likeness(squared: np.ndarray, areas, sigmas) -> np.ndarray:
    spread = (2 * np.asarray(sigmas, np.float64)) ** 2
    return np.exp(-squared / spread / (np.asarray(areas, np.float64)[..., np.newaxis] + _TINY) / 2)


def oks(poses, people, areas, sigmas, boxes=None) -> np.ndarray:
    """OKS of every pose with every person, as pycocotools' `computeOks`.

    Args:
        poses: (P, K, 2 or more), image pixels.
        people: (G, K, 3) (x, y, v); joints with v = 0 do not count.
        areas: (G,).
        sigmas: (K,).
        boxes: (G, 4) [x, y, w, h]. A person without any labelled joint is compared by the distance of all
            joints from the box enlarged by its own size on each side; without `boxes` the OKS is 0.

    Returns:
        (P, G) float64, 0–1.
    """
    poses, people = np.asarray(poses, np.float64)[:, np.newaxis, :, :2], np.asarray(people, np.float64)
    labelled = people[..., 2] > 0
    counted = labelled.sum(axis=1)
    likeness = joint_likeness(poses, people[np.newaxis], np.asarray(areas)[np.newaxis], sigmas)
    values = (likeness * labelled).sum(axis=2) / np.maximum(counted, 1)
    unlabelled = np.flatnonzero(counted == 0)
    if boxes is not None and len(unlabelled):
        position, size = np.split(np.asarray(boxes, np.float64)[unlabelled, np.newaxis], 2, axis=-1)
        beyond = np.maximum(position - size - poses, 0) + np.maximum(poses - (position + 2 * size), 0)
        areas = np.asarray(areas)[np.newaxis, unlabelled]
        values[:, unlabelled] = _likeness((beyond**2).sum(axis=-1), areas, sigmas).mean(axis=2)
    return values


def oks_nms(keypoints, scores, areas, sigmas, threshold: float = NMS_THRESHOLD) -> np.ndarray:
    """Leaves out poses too much like a better one of the same photo (Papandreou et al. 2017).

    Args:
        keypoints: (P, K, 2 or more), image pixels.
        scores: (P,).
        areas: (P,), of the poses; two are compared by the mean of theirs, over all joints.
        sigmas: (K,).
        threshold: the OKS above which the lower score goes.

    Returns:
        Places of the poses that stay, the highest score first; of equal scores the first.
    """
    likeness = _among(keypoints, areas, sigmas)
    remaining, kept = np.argsort(-np.asarray(scores), kind="stable"), []
    while len(remaining):
        best, rest = remaining[0], remaining[1:]
        kept.append(best)
        remaining = rest[likeness[best, rest] <= threshold]
    return np.array(kept, np.int64)


def soft_oks_nms(
    keypoints, scores, areas, sigmas, threshold: float = NMS_THRESHOLD, count: int = SOFT_NMS_POSES
) -> tuple[np.ndarray, np.ndarray]:
    """Lowers the scores of poses that are like a better one, by exp(-OKS² / threshold) (Bodla et al. 2017).

    Args:
        keypoints, scores, areas, sigmas: as for `oks_nms`.
        threshold: the larger, the less scores are lowered.
        count: poses to keep.

    Returns:
        Places of the `count` poses whose lowered score was the highest, and these scores, the highest first.
    """
    likeness = _among(keypoints, areas, sigmas)
    lowered = np.array(scores, np.float64)
    remaining, kept = np.arange(len(lowered)), []
    while len(remaining) and len(kept) < count:
        best = remaining[np.argmax(lowered[remaining])]
        kept.append(best)
        remaining = remaining[remaining != best]
        lowered[remaining] *= np.exp(-(likeness[best, remaining] ** 2) / threshold)
    kept = np.array(kept, np.int64)
    return kept, lowered[kept]


def _among(keypoints, areas, sigmas) -> np.ndarray:
    """(P, P) OKS of poses with each other."""
    keypoints, areas = np.asarray(keypoints, np.float64), np.asarray(areas, np.float64)
    mean = (areas[:, np.newaxis] + areas) / 2
    return joint_likeness(keypoints[:, np.newaxis], keypoints[np.newaxis], mean, sigmas).mean(axis=2)
