"""What sets one family of detectors apart from another: their picture in, their numbers out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from flpn_tf.runtime.detectors.model_file import Output
from flpn_tf.runtime.detectors.picture import Picture


class Layout(Protocol):
    """How the detectors of one family are read.

    Attributes:
        OUTPUTS: what they give, in words for messages.
        classes: how many kinds of things this one finds; None where its outputs do not say.
        person: the number of the class of people, where the user gives no other.
    """

    OUTPUTS: str
    classes: int | None
    person: int

    @classmethod
    def read(cls, outputs: Sequence[Output], picture: Picture) -> "Layout | None":
        """The layout, or None where the outputs for an even grey picture are not of it."""

    def prepare(self, image: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """``(H, W, 3)`` uint8 RGB → the network's inputs, and the ``(2,)`` scale of boxes by x and y."""

    def people(self, outputs: Sequence[Output], person: int) -> tuple[np.ndarray, np.ndarray]:
        """``(N, 4)`` ``[left, top, right, bottom]``, image pixels × that scale, and ``(N,)`` scores."""


def cells(height: int, width: int, strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The grids that cover a picture, one after the other, each by rows.

    Returns:
        ``(N, 2)`` column and row of each cell, and its ``(N, 1)`` stride.
    """
    places, steps = [], []
    for stride in strides:
        rows, columns = np.mgrid[: -(-height // stride), : -(-width // stride)]
        places.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        steps.append(np.full((rows.size, 1), stride))
    return np.concatenate(places).astype(np.float64), np.concatenate(steps).astype(np.float64)
