"""Pictures of crops with their joints and targets, laid out in rows and columns. Needs no TensorFlow."""

from collections.abc import Sequence

import cv2
import numpy as np

from flpn_tf.runtime.draw import draw_joints
from flpn_tf.skeleton import Skeleton

GAP, LINE = 4, 20  # pixels around a crop, and height of a line of text
_TEXT, _BASELINE = 0.4, 14  # size, and place in the line
_PAPER, _INK = (255, 255, 255), (0, 0, 0)  # RGB
_HEAT, _DIMMED = (255, 60, 0), 0.6  # RGB, and brightness of the photo below
_LIMB_PER_SIDE = 1 / 128  # width as a fraction of the crop's longer side


def with_joints(crop: np.ndarray, joints: np.ndarray, hidden: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """A copy of a crop with limbs and joints.

    Args:
        crop: (H, W, 3) uint8 RGB.
        joints: (K, 3) (x, y, weight), crop pixels; those of weight 0 are left out.
        hidden: (K,) bool, joints to draw as rings.
    """
    picture = np.ascontiguousarray(crop).copy()
    width = max(1, round(max(crop.shape[:2]) * _LIMB_PER_SIDE))
    draw_joints(picture, joints[:, :2], joints[:, 2] > 0, skeleton, width, hidden)
    return picture


def with_heat(crop: np.ndarray, heatmaps: np.ndarray, stride: int) -> np.ndarray:
    """The crop in grey under its heatmaps, of which the highest counts at each pixel.

    Args:
        crop: (H, W, 3) uint8 RGB.
        heatmaps: (H / stride, W / stride, K), values in 0–1; index i ↔ crop pixel stride · i.
    """
    height, width = crop.shape[:2]
    enlarge = np.array([[stride, 0, 0], [0, stride, 0]], np.float64)
    heat = np.ascontiguousarray(heatmaps.max(axis=2), np.float32)
    heat = cv2.warpAffine(heat, enlarge, (width, height), flags=cv2.INTER_LINEAR)[..., np.newaxis]
    grey = crop.mean(axis=2, keepdims=True) * _DIMMED
    return np.rint(grey * (1 - heat) + heat * np.array(_HEAT)).astype(np.uint8)


def place(row: int, column: int, size: tuple[int, int]) -> tuple[int, int]:
    """(top, left) of a picture of `size` (H, W) on the sheet; its title stands above, its caption below."""
    return row * (size[0] + 2 * LINE + GAP) + LINE, column * (size[1] + GAP) + GAP


def contact_sheet(
    titles: Sequence[str], columns: Sequence[tuple[Sequence[str], Sequence[np.ndarray]]], legend: str
) -> np.ndarray:
    """Lays pictures out; a text is cut where its place ends.

    Args:
        titles: one a row.
        columns: captions and pictures, (H, W, 3) uint8 RGB of one size, one of each a row.
        legend: the last line.

    Returns:
        uint8 RGB, its height and width those of `place(rows, columns, size)`.
    """
    size = columns[0][1][0].shape[:2]
    bottom, right = place(len(titles), len(columns), size)
    sheet = np.full((bottom, right, 3), _PAPER, np.uint8)
    _write(sheet[bottom - LINE :, GAP:], legend)
    for row, title in enumerate(titles):
        top, left = place(row, 0, size)
        _write(sheet[top - LINE : top, left:], title)
        for column, (captions, pictures) in enumerate(columns):
            top, left = place(row, column, size)
            cell = sheet[top : top + size[0] + LINE, left : left + size[1]]
            cell[: size[0]] = pictures[row]
            _write(cell[size[0] :], captions[row])
    return sheet


def _write(line: np.ndarray, text: str) -> None:
    """Writes into a part of the sheet."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    written = np.ascontiguousarray(line)
    cv2.putText(written, text, (0, _BASELINE), cv2.FONT_HERSHEY_SIMPLEX, _TEXT, _INK, 1, cv2.LINE_AA)
    line[:] = written
