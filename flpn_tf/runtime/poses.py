"""Poses: what an estimator finds in one photo."""

from dataclasses import dataclass

import numpy as np

from flpn_tf.skeleton import Skeleton

KEYPOINT_THRESHOLD = 0.2  # scores at or below it count as not found (Xiao et al. 2018)


@dataclass(frozen=True)
class Poses:
    """P people in one photo, image pixels.

    Attributes:
        boxes: ``(P, 4)`` ``[x, y, w, h]``, the boxes the crops were cut around.
        keypoints: ``(P, K, 3)`` ``(x, y, score)``; a point may lie outside the photo.
        scores: ``(P,)`` box score × mean of the keypoint scores above `KEYPOINT_THRESHOLD`.
        skeleton: names the K joints.
    """

    boxes: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.boxes)

    def people(self) -> list[dict]:
        """Json-ready: ``{"box", "score", "keypoints": [{"name", "x", "y", "score"}…]}`` a person."""
        return [
            {
                "box": [round(float(side), 2) for side in box],
                "score": round(float(score), 4),
                "keypoints": [
                    {"name": name, "x": round(x, 2), "y": round(y, 2), "score": round(confidence, 4)}
                    for name, (x, y, confidence) in zip(self.skeleton.names, joints.tolist(), strict=True)
                ],
            }
            for box, score, joints in zip(self.boxes, self.scores, self.keypoints, strict=True)
        ]
