"""PCK: the share of joints found near enough, relative to a length of the person's own."""

from collections.abc import Sequence

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.skeleton import Skeleton

TORSO = ("left_shoulder", "right_hip")
THRESHOLD = 0.2  # of the torso's length
PCK = f"PCK@{THRESHOLD}"  # the metric's name
_LIMBS = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")


def torso_lengths(truth: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(N,) distance from left shoulder to right hip, image pixels; NaN where either is unlabelled.

    Args:
        truth: (N, K, 3) (x, y, v).

    Raises:
        InputError: the skeleton has no such joints.
    """
    missing = [name for name in TORSO if name not in skeleton.names]
    if missing:
        raise InputError(
            f"PCK by the torso needs the joints {', '.join(TORSO)}; missing: {', '.join(missing)}"
        )
    shoulder, hip = (truth[:, skeleton.names.index(name)] for name in TORSO)
    lengths = np.linalg.norm(shoulder[:, :2] - hip[:, :2], axis=1)
    return np.where((shoulder[:, 2] > 0) & (hip[:, 2] > 0) & (lengths > 0), lengths, np.nan)


def pck(predicted, truth, lengths, threshold: float = THRESHOLD) -> tuple[float, np.ndarray]:
    """Percentage of labelled joints within `threshold` · length of the truth (Yang & Ramanan 2013).

    Args:
        predicted: (N, K, 2 or more), image pixels.
        truth: (N, K, 3) (x, y, v); joints with v = 0 do not count.
        lengths: (N,) reference length of each person; people with NaN do not count.

    Returns:
        The mean over all counted joints and (K,) the mean per joint, both 0–100; NaN where none counts.
    """
    predicted, truth, lengths = (np.asarray(a, np.float64) for a in (predicted, truth, lengths))
    counted = (truth[..., 2] > 0) & np.isfinite(lengths)[:, np.newaxis]
    distance = np.linalg.norm(predicted[..., :2] - truth[..., :2], axis=-1)
    # A prediction that is NaN is a miss: the comparison is False.
    hit = counted & (distance <= threshold * np.nan_to_num(lengths)[:, np.newaxis])
    with np.errstate(invalid="ignore", divide="ignore"):
        return 100 * hit.sum() / counted.sum(), 100 * hit.sum(axis=0) / counted.sum(axis=0)


def part_columns(names: Sequence[str], joints: np.ndarray, head: Sequence[str]) -> dict[str, float]:
    """The columns Head, Shoulder, …, Ankle of the usual tables: the mean over the joints of each.

    Args:
        names: of the K joints.
        joints: (K,) per cent.
        head: the joints of the column Head.

    Returns:
        NaN where the column has no joint, or one without a number.
    """
    values = dict(zip(names, joints.tolist(), strict=True))
    parts = {"Head": head} | {part: (f"left_{part.lower()}", f"right_{part.lower()}") for part in _LIMBS}
    return {
        part: float(np.mean([values[name] for name in members if name in values] or np.nan))
        for part, members in parts.items()
    }
