"""People made of three dots (see dot_model) that walk through frames."""

import dot_model
import numpy as np

RADIUS = 5.0
SHAPE = np.array([[-14.0, -18.0], [14.0, -18.0], [0.0, 22.0]])
_MARGIN = 8


def person(x: float, y: float) -> np.ndarray:
    """(3, 2) joints of a person whose middle is at (x, y)."""
    return SHAPE + (x, y)


def box(points: np.ndarray) -> list[float]:
    """[x, y, w, h] around a person."""
    low, high = points.min(axis=0) - _MARGIN, points.max(axis=0) + _MARGIN
    return [*low, *(high - low)]


def frame(height: int, width: int, people) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    photos = [dot_model.photo_with_dots(height, width, points, RADIUS) for points in people]
    return np.max([np.zeros((height, width, 3), np.uint8), *photos], axis=0)
