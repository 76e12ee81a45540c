"""Which of the people found in a frame are which of those known.

N   people found
T   people known
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flpn_tf.oks import oks

_SAME_POSE = 0.5  # OKS in one frame
_SAME_PERSON = 0.2  # OKS with a pose from before somebody was lost
_SAME_PLACE = 0.3  # IoU of boxes
_HELD = 0.7  # share of a known person's box inside that of somebody found


class Association(NamedTuple):
    """Who is who.

    Attributes:
        pairs: (found, known), places.
        shrunk: those of them whose known box is but a part of the found one.
        doubles: found people who are like a known one that another is more like.
    """

    pairs: list[tuple[int, int]]
    shrunk: set[tuple[int, int]]
    doubles: set[int]


def associate(
    poses: np.ndarray,
    boxes: np.ndarray,
    known_poses: Sequence[np.ndarray | None],
    known_boxes: Sequence[np.ndarray],
    present: Sequence[bool],
    sigmas,
) -> Association:
    """Pairs people greedily: by their joints, and those who are like nobody by their boxes.

    Args:
        poses: (N, K, 3) of the people found, pixels.
        boxes: (N, 4) `[x, y, w, h]`, around which these were found.
        known_poses: T of (K, 3), of this frame or an earlier one; None where there is none.
        known_boxes: T of (4,).
        present: T, whether the pose is of this frame.
        sigmas: (K,), of the skeleton.
    """
    likeness = np.zeros((len(poses), len(known_boxes)))
    for number, (pose, box) in enumerate(zip(known_poses, known_boxes, strict=True)):
        if pose is not None:
            labelled = np.concatenate([pose[:, :2], np.ones((len(pose), 1))], axis=1)
            likeness[:, number] = oks(poses, labelled[np.newaxis], [box[2] * box[3]], sigmas)[:, 0]
    alike = likeness >= np.where(present, _SAME_POSE, _SAME_PERSON)
    by_joints = _greedy_pairs(np.where(alike, likeness, 0.0))
    overlap, share = overlaps(boxes, known_boxes)
    # Boxes that overlap come before one that holds another.
    near = np.where(overlap >= _SAME_PLACE, 1 + overlap, np.where(share >= _HELD, share, 0.0))
    near[alike.any(axis=1)] = near[:, [number for _, number in by_joints]] = 0.0
    by_boxes = _greedy_pairs(near)
    shrunk = {pair for pair in by_boxes if overlap[pair] < _SAME_PLACE}
    doubles = set(np.flatnonzero(alike.any(axis=1)).tolist()) - {row for row, _ in by_joints}
    return Association(by_joints + by_boxes, shrunk, doubles)


def overlaps(boxes, known_boxes) -> tuple[np.ndarray, np.ndarray]:
    """(N, T) IoU, and the share of each known box that lies in each found one, 0–1."""
    boxes, known_boxes = np.reshape(boxes, (-1, 1, 4)), np.reshape(known_boxes, (1, -1, 4))
    low = np.maximum(boxes[..., :2], known_boxes[..., :2])
    high = np.minimum(boxes[..., :2] + boxes[..., 2:], known_boxes[..., :2] + known_boxes[..., 2:])
    common = np.maximum(high - low, 0).prod(axis=-1)
    area, known_area = boxes[..., 2:].prod(axis=-1), known_boxes[..., 2:].prod(axis=-1)
    return common / (area + known_area - common), common / known_area


def _greedy_pairs(values: np.ndarray) -> list[tuple[int, int]]:
    """Rows and columns paired by the highest values first, each once; pairs of 0 are none."""
    values, pairs = values.copy(), []
    while values.size and values.max() > 0:
        row, column = np.unravel_index(values.argmax(), values.shape)
        pairs.append((int(row), int(column)))
        values[row], values[:, column] = 0.0, 0.0
    return pairs
