"""Skeletons drawn on photos."""

import cv2
import numpy as np

from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD, Poses
from flpn_tf.skeleton import Skeleton, joint_side

# RGB; sides are the person's own left and right.
_COLOURS = {"left": (255, 140, 0), "right": (0, 160, 255), None: (60, 220, 90)}
_HOLE = (0, 0, 0)
_WIDTH_PER_SIDE = 1 / 80  # line width as a fraction of the person's longer box side
_MIN_WIDTH_PER_SIDE = 1 / 300  # …but at least this fraction of the photo's longer side


def draw_poses(
    image: np.ndarray, poses: Poses, min_score: float = KEYPOINT_THRESHOLD, ids=None
) -> np.ndarray:
    """Draws limbs and joints on a copy of a photo.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        poses: in this image's pixels.
        min_score: joints at or below it, and limbs that touch one, are left out.
        ids: ``(P,)`` numbers to write above the people; None for none.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    canvas = np.ascontiguousarray(image).copy()
    for person, (box, joints) in enumerate(zip(poses.boxes, poses.keypoints, strict=True)):
        side = max(box[2:].max() * _WIDTH_PER_SIDE, max(image.shape[:2]) * _MIN_WIDTH_PER_SIDE)
        width, shown = max(1, round(side)), joints[:, 2] > min_score
        draw_joints(canvas, joints[:, :2], shown, poses.skeleton, width)
        if ids is not None and shown.any():
            top = joints[shown][joints[shown, 1].argmin(), :2]
            _write(canvas, str(ids[person]), top - [0, 0.08 * box[2:].max()], width)
    return canvas


def _write(canvas: np.ndarray, text: str, place: np.ndarray, width: int) -> None:
    """Text around a place, within the picture; white with a dark rim, which any ground shows."""
    font, size, weight, rim = cv2.FONT_HERSHEY_SIMPLEX, 0.4 + width / 6, max(1, width // 2), 1 + width // 3
    (across, up), _ = cv2.getTextSize(text, font, size, weight)
    limits = np.maximum([canvas.shape[1] - across - rim, canvas.shape[0] - rim], [rim, up + rim])
    x, y = _pixels(np.clip(place - [across / 2, 0], [rim, up + rim], limits))
    # OpenCV 5 draws letters of one weight, so the rim is the same letters all around.
    around = [(dx, dy) for dx in (-rim, 0, rim) for dy in (-rim, 0, rim) if dx or dy]
    for dx, dy in around:
        cv2.putText(canvas, text, (x + dx, y + dy), font, size, _HOLE, weight, cv2.LINE_AA)
    cv2.putText(canvas, text, (x, y), font, size, (255, 255, 255), weight, cv2.LINE_AA)


def _pixels(points: np.ndarray) -> list:
    # OpenCV takes 32-bit coordinates; a joint far outside the photo must not overflow them.
    return np.clip(np.rint(points), -(2**20), 2**20).astype(int).tolist()


def draw_joints(
    canvas: np.ndarray,
    points: np.ndarray,
    shown: np.ndarray,
    skeleton: Skeleton,
    width: int,
    hollow: np.ndarray | None = None,
) -> None:
    """Draws one person's limbs and joints into a picture.

    Args:
        canvas: ``(H, W, 3)`` uint8 RGB, contiguous; is changed.
        points: ``(K, 2)``, its pixels.
        shown: ``(K,)`` bool; the others, and limbs that touch one, are left out.
        width: of the limbs, pixels; a joint's radius is one more, a ring's two.
        hollow: ``(K,)`` bool, joints to draw as rings around black; by default none.
    """
    hollow = np.zeros(len(skeleton), bool) if hollow is None else hollow
    colours = [_COLOURS[joint_side(name)] for name in skeleton.names]
    points = _pixels(points)
    for a, b in skeleton.limbs:
        if shown[a] and shown[b]:
            colour = colours[a] if colours[a] == colours[b] else _COLOURS[None]
            cv2.line(canvas, points[a], points[b], colour, width, cv2.LINE_AA)
    for joint in np.flatnonzero(shown):
        centre, radius = points[joint], width + (2 if hollow[joint] else 1)
        cv2.circle(canvas, centre, radius, colours[joint], cv2.FILLED, cv2.LINE_AA)
        if hollow[joint]:
            cv2.circle(canvas, centre, width, _HOLE, cv2.FILLED, cv2.LINE_AA)
