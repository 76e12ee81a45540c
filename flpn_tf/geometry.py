"""Boxes, crop affines and the one resample: image pixels ↔ crop pixels.

    box     ``[x, y, w, h]``, image pixels, pixel centres at integers, origin top-left
    affine  ``(2, 3)`` float64, maps ``(x, y, 1)``
    crop    ``height`` × ``width`` pixels, column ``u``, row ``v``

The crop is that of Xiao et al. 2018, *Simple Baselines for Human Pose Estimation and Tracking*.
"""

import cv2
import numpy as np

from flpn_tf.errors import InputError

PADDING = 1.25  # of a box in its crop, unless a spec says otherwise


def crop_affine(
    box,
    height: int,
    width: int,
    padding: float = PADDING,
    rotation: float = 0.0,
    scale: float = 1.0,
    flip: bool = False,
) -> np.ndarray:
    """The affine from image pixels to the pixels of a ``height`` × ``width`` crop around a box.

    The box's centre ``(x + w/2, y + h/2)`` goes to ``(width/2, height/2)``. The box's shorter side is first
    enlarged to the crop's aspect, giving ``w'``; the magnification is ``width / (padding * w' * scale)``.

    Args:
        box: ``[x, y, w, h]`` in image pixels, ``w`` and ``h`` positive.
        height: of the crop, pixels.
        width: of the crop, pixels.
        padding: how much more than the box the crop shows.
        rotation: degrees about the box's centre; positive turns the picture counter-clockwise as seen.
        scale: a further factor on the region shown: above 1 the person gets smaller.
        flip: mirror the finished crop, column ``u`` → ``width - 1 - u``.

    Returns:
        ``(2, 3)`` float64.

    Raises:
        InputError: a box that is not four finite numbers with positive size.
    """
    box = np.asarray(box, dtype=np.float64)
    if box.shape != (4,) or not np.isfinite(box).all() or not (box[2:] > 0).all():
        raise InputError(
            f"A box is four finite numbers [x, y, w, h] with w and h above 0. Received: box={box.tolist()}"
        )
    x, y, w, h = box
    shown_width = max(w, h * width / height)
    zoom = width / (padding * shown_width * scale)
    angle = np.deg2rad(rotation)
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    # y points down, so this sign turns what is seen counter-clockwise.
    linear = np.array([[cos, sin], [-sin, cos]])
    centre = np.array([x + w / 2, y + h / 2])
    shift = np.array([width / 2, height / 2]) - linear @ centre
    affine = np.column_stack([linear, shift])
    if flip:
        affine = compose(np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]]), affine)
    return affine


def shown_area(affine: np.ndarray, height: int, width: int) -> float:
    """Square image pixels that a ``height`` × ``width`` crop of this affine shows."""
    return height * width / abs(np.linalg.det(affine[:, :2]))


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The ``(2, 3)`` affine that applies ``first``, then ``second``."""
    linear = second[:, :2] @ first[:, :2]
    shift = second[:, :2] @ first[:, 2] + second[:, 2]
    return np.column_stack([linear, shift])


def invert_affine(affine: np.ndarray) -> np.ndarray:
    """The ``(2, 3)`` inverse of a ``(2, 3)`` affine."""
    linear = np.linalg.inv(np.asarray(affine, dtype=np.float64)[:, :2])
    return np.column_stack([linear, -linear @ affine[:, 2]])


def transform_points(points, affine: np.ndarray) -> np.ndarray:
    """Moves ``(..., 2)`` points ``(x, y)``; returns float64 of the same shape."""
    return np.asarray(points, dtype=np.float64) @ affine[:, :2].T + affine[:, 2]


def warp(image: np.ndarray, affine: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resamples an image into a crop.

    Crop pixel ``(u, v)`` takes the bilinear value at the image point that ``affine`` sends there; outside
    the image is 0; the result is rounded. OpenCV 5 does this to the grey level (a float64 reference differs
    by 1 in 0.1 % of values, 0.5 % in a 12-megapixel image); OpenCV 4 rounds coordinates to 1/32 pixel and
    differs in half of them, by up to 6, on noise.

    Args:
        image: ``(H, W, 3)`` uint8.
        affine: ``(2, 3)`` from image to crop.
        height: of the crop, pixels.
        width: of the crop, pixels.

    Returns:
        ``(height, width, 3)`` uint8.
    """
    return cv2.warpAffine(
        image,
        np.asarray(affine, dtype=np.float64),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )


def keypoints_to_box(keypoints: np.ndarray, min_score: float, margin: float = 0.0) -> np.ndarray | None:
    """The box around the keypoints that score above ``min_score``.

    Args:
        keypoints: ``(K, 3)`` as ``(x, y, score)``.
        min_score: keypoints at or below it are ignored.
        margin: how much to add on every side, as a fraction of the box's longer side.

    Returns:
        ``(4,)`` ``[x, y, w, h]`` with sides of at least one pixel; None where fewer than two qualify.
    """
    points = keypoints[keypoints[:, 2] > min_score, :2]
    if len(points) < 2:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    added = margin * (high - low).max()
    low, high = low - added, high + added
    size = np.maximum(high - low, 1.0)
    return np.concatenate([(low + high - size) / 2, size])


def touches(box, height: int, width: int) -> bool:
    """Whether a box ``[x, y, w, h]`` has a part inside an image."""
    x, y, w, h = box
    return bool(x < width and y < height and x + w > 0 and y + h > 0)
