"""The one-euro filter (Casiez, Roussel, Vogel, CHI 2012): steady at rest, quick where a joint moves."""

import math

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD

MIN_CUTOFF = 0.5  # Hz
BETA = 7.0  # Hz a box side per second
D_CUTOFF = 1.0  # Hz


class OneEuroFilter:
    """A low-pass filter, of any number of signals at once, whose cutoff rises with their speed.

    Example:
        smooth = OneEuroFilter(beta=0.5)
        for time, position in samples:
            position = smooth(position, time)

    Args:
        min_cutoff: Hz, of a signal at rest; lower is steadier.
        beta: Hz that a unit of speed adds; higher lags less.
        d_cutoff: Hz, of the speed itself.

    Raises:
        InputError: a cutoff that is no positive number, or a beta below 0.
    """

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA, d_cutoff: float = D_CUTOFF):
        for name, value, smallest in (
            ("min_cutoff", min_cutoff, 1e-9),
            ("beta", beta, 0.0),
            ("d_cutoff", d_cutoff, 1e-9),
        ):
            if not smallest <= value < math.inf:
                raise InputError(f"{name} is a finite number, {smallest:g} or more. Received: {value!r}")
        self.min_cutoff, self.beta, self.d_cutoff = min_cutoff, beta, d_cutoff
        self._time = self._values = self._speeds = None

    def __call__(self, values, time: float, scale: float = 1.0) -> np.ndarray:
        """The filtered values.

        Args:
            values: any shape, the same each time. A NaN is answered by NaN, and what follows it starts anew.
            time: seconds, above that of the call before.
            scale: what counts as one unit of distance now, in the unit of ``values``.

        Raises:
            InputError: a time that is not above the last one.
        """
        values = np.asarray(values, np.float64)
        if self._time is None:
            self._time, self._values, self._speeds = time, values, np.zeros_like(values)
            return values.copy()
        elapsed = time - self._time
        if not elapsed > 0:
            raise InputError(f"time must grow from call to call. Received: {time!r} after {self._time!r}")
        speeds = (values - self._values) / elapsed
        speeds = self._speeds + _weight(self.d_cutoff, elapsed) * (speeds - self._speeds)
        cutoff = self.min_cutoff + self.beta * np.abs(speeds) / scale
        filtered = self._values + _weight(cutoff, elapsed) * (values - self._values)
        anew = np.isnan(self._values)
        self._time = time
        self._speeds = np.where(anew | np.isnan(values), 0.0, speeds)
        self._values = np.where(anew, values, filtered)
        return self._values.copy()


def _weight(cutoff, elapsed: float):
    """What a new sample counts in a first-order low-pass filter."""
    angle = 2 * math.pi * elapsed * cutoff
    return angle / (angle + 1)


class PoseSmoother:
    """Smooths one person's joints from frame to frame.

    Speeds count in sides of the person's box a second, so the same parameters serve every size of picture.

    Args:
        min_cutoff, beta, d_cutoff: see `OneEuroFilter`.
    """

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA, d_cutoff: float = D_CUTOFF):
        self._filter = OneEuroFilter(min_cutoff, beta, d_cutoff)

    def __call__(self, keypoints: np.ndarray, time: float, box) -> np.ndarray:
        """The keypoints with their places smoothed.

        Args:
            keypoints: ``(K, 3)`` ``(x, y, score)``. A joint at or below `KEYPOINT_THRESHOLD` is left as it
                is, and forgotten.
            time: seconds, above that of the call before.
            box: ``[x, y, w, h]`` of the person, in the unit of the keypoints.
        """
        found = keypoints[:, 2:] > KEYPOINT_THRESHOLD
        places = self._filter(np.where(found, keypoints[:, :2], np.nan), time, max(box[2:]))
        return np.hstack([np.where(found, places, keypoints[:, :2]), keypoints[:, 2:]])
