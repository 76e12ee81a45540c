"""Skeletons drawn on photos."""

import cv2
import numpy as np

from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD, Poses

# RGB; sides are the person's own left and right.
_LEFT, _RIGHT, _MIDDLE = (255, 140, 0), (0, 160, 255), (60, 220, 90)
_WIDTH_PER_SIDE = 1 / 80  # line width as a fraction of the person's longer box side
_MIN_WIDTH_PER_SIDE = 1 / 300  # …but at least this fraction of the photo's longer side


def draw_poses(image: np.ndarray, poses: Poses, min_score: float = KEYPOINT_THRESHOLD) -> np.ndarray:
    """Draws limbs and joints on a copy of a photo.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        poses: in this image's pixels.
        min_score: joints at or below it, and limbs that touch one, are left out.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    canvas = np.ascontiguousarray(image).copy()
    skeleton = poses.skeleton
    colours = [_side_colour(name) for name in skeleton.names]
    for box, joints in zip(poses.boxes, poses.keypoints, strict=True):
        side = max(box[2:].max() * _WIDTH_PER_SIDE, max(image.shape[:2]) * _MIN_WIDTH_PER_SIDE)
        width = max(1, round(side))
        visible = joints[:, 2] > min_score
        # OpenCV takes 32-bit coordinates; a joint far outside the photo must not overflow them.
        points = np.clip(np.rint(joints[:, :2]), -(2**15), 2**15).astype(int)
        for a, b in skeleton.limbs:
            if visible[a] and visible[b]:
                colour = colours[a] if colours[a] == colours[b] else _MIDDLE
                cv2.line(canvas, points[a].tolist(), points[b].tolist(), colour, width, cv2.LINE_AA)
        for joint in np.flatnonzero(visible):
            cv2.circle(canvas, points[joint].tolist(), width + 1, colours[joint], cv2.FILLED, cv2.LINE_AA)
    return canvas


def _side_colour(name: str) -> tuple[int, int, int]:
    if "left" in name.lower():
        return _LEFT
    return _RIGHT if "right" in name.lower() else _MIDDLE
