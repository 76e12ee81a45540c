"""Photos with painted people, whose boxes are known."""

import numpy as np

GROUND, DIM, BRIGHT = 60, 100, 255
# Parts of the photo: [left, top, width, height]. Red and green are people, blue is another thing.
PARTS = np.array([[0.08, 0.10, 0.22, 0.50], [0.42, 0.30, 0.20, 0.60], [0.72, 0.05, 0.20, 0.40]])
SIZES = {"wide": (240, 520), "tall": (420, 200), "square": (300, 300)}  # height, width


def people_boxes(height: int, width: int) -> np.ndarray:
    """(2, 4) of the red and the green one, whole pixels."""
    return np.rint(PARTS[:2] * [width, height, width, height])


def thing_box(height: int, width: int) -> np.ndarray:
    """(4,) of the blue one."""
    return np.rint(PARTS[2] * [width, height, width, height])


def photo(height: int, width: int) -> np.ndarray:
    """RGB; beside each box something too dim to be found."""
    canvas = np.full((height, width, 3), GROUND, np.uint8)
    boxes = np.vstack([people_boxes(height, width), thing_box(height, width)]).astype(int)
    for channel, (x, y, w, h) in enumerate(boxes):
        canvas[y : y + h, x : x + w // 2, channel] = BRIGHT
        canvas[y : y + h, x + w // 2 : x + w, channel] = BRIGHT
        canvas[y + h + 2 : y + h + 12, x : x + w, channel] = DIM
    return canvas
