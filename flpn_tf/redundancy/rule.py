"""From similarity to the intrinsic ratio of a stage. Needs no TensorFlow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flpn_tf.errors import InputError

_ROUNDING = 1e-6  # of a SSIM in float32


@dataclass(frozen=True)
class Rule:
    """When a map explains another, and which ratios may be recommended; docs/decisions.md has the reasons.

    Attributes:
        threshold: SSIM, mean over images, from which two maps are alike.
        ratios: t to choose from, rising.
    """

    threshold: float = 0.8
    ratios: tuple[int, ...] = (2, 4, 8, 16)

    def __post_init__(self):
        if not 0 < self.threshold <= 1:
            raise InputError(f"threshold must be above 0 and at most 1. Received: {self.threshold}")
        if not self.ratios or list(self.ratios) != sorted(set(self.ratios)) or self.ratios[0] < 1:
            raise InputError(
                f"the ratios to choose from must rise, from 1 or more. Received: {list(self.ratios)}"
            )

    def ratio(self, share: float) -> int:
        """The largest t whose intrinsic maps, 1/t of all, are no fewer than the distinct ones.

        The smallest where none `fits`.

        Args:
            share: of distinct maps, as `intrinsic_share` says.
        """
        return max((ratio for ratio in self.ratios if _fits(ratio, share)), default=self.ratios[0])

    def fits(self, share: float) -> bool:
        """Whether any ratio leaves as many intrinsic maps as there are distinct ones."""
        return _fits(self.ratios[0], share)


def _fits(ratio: int, share: float) -> bool:
    # A share such as 1/16 comes as a sum of many parts.
    return ratio * share <= 1 + 1e-9


def alike(similarity: np.ndarray, rows: np.ndarray, threshold: float) -> np.ndarray:
    """How many other maps each has that are like it.

    Args:
        similarity: (R, C), of the maps `rows` and all.
        rows: (R,) places.

    Returns:
        (R,) ints.
    """
    like = similarity >= threshold - _ROUNDING
    like[np.arange(len(rows)), rows] = False
    return like.sum(axis=1)


def intrinsic_share(counts: Sequence[int]) -> float:
    """The share of distinct maps: k maps that are all alike count as one.

    Each map counts for one part of itself and of those like it: the diversity of order 0 of Leinster and
    Cobbold 2012, with similarity 1 above the threshold and 0 below. Where alike maps form groups it is the
    number of groups over that of maps; it needs no order of the maps, and a sample of them estimates it.

    Args:
        counts: of `alike`.
    """
    return float(np.mean(1 / (1 + np.asarray(counts))))
