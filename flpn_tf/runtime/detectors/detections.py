"""The boxes of the people in a photo, and what is asked of whoever finds them."""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

NMS_IOU = 0.6  # from 0.55 to 0.7 the AP on `coco_train` is the same but for 0.2; docs/detectors.md
MIN_SIDE = 1.0  # pixels; what is left of a box at the photo's edge may be less, and shows nobody


@dataclass(frozen=True)
class Detections:
    """P people in one photo, the likeliest first.

    Attributes:
        boxes: ``(P, 4)`` float64 ``[x, y, w, h]``, image pixels.
        scores: ``(P,)`` float64, 0–1.
    """

    boxes: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


class Detector(Protocol):
    """Whatever finds people: a function will do."""

    def __call__(self, image: np.ndarray) -> Detections:
        """``(H, W, 3)`` uint8 RGB → the people in it."""


def best_people(
    corners: np.ndarray, scores: np.ndarray, height: int, width: int, min_score: float, most: int | None
) -> Detections:
    """A network's candidates, clipped to the photo, without those too much like a better one.

    Args:
        corners: ``(N, 4)`` ``[left, top, right, bottom]``, image pixels; infinite ones are clipped too.
        scores: ``(N,)``.
        height, width: of the photo.
        min_score: candidates below it are left out.
        most: people to keep, the likeliest; None for all.
    """
    likely = scores >= min_score
    corners = np.clip(corners[likely].astype(np.float64), 0, [width, height, width, height])
    scores = scores[likely].astype(np.float64)
    boxes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    shown = (boxes[:, 2:] >= MIN_SIDE).all(axis=1)
    boxes, scores = boxes[shown], scores[shown]
    # The best first; OpenCV gives () for no boxes.
    kept = np.array(cv2.dnn.NMSBoxes(boxes, scores, 0.0, NMS_IOU), np.int64)[:most]
    return Detections(boxes[kept], scores[kept])
