"""SSIM between many feature maps at once, the same numbers as `tf.image.ssim` pair by pair.

The mean and the square's mean of a map's windows are worked out once for each map and not for each pair, and
the Gaussian window is two matrix products over all pairs. Needs no TensorFlow.
"""

from functools import lru_cache

import numpy as np

FILTER_SIZE, SIGMA = 11, 1.5  # of Wang et al. 2004, and of tf.image.ssim
_C1, _C2 = np.float32(0.01**2), np.float32(0.03**2)  # for values in 0–1
SMALLEST = 3  # window: one of 1 pixel has no contrast to compare
_CONSTANT = 1e-6  # span of a constant map, in parts of its largest value


def fitted_filter_size(height: int, width: int) -> int:
    """The largest odd window up to `FILTER_SIZE` that fits maps of this size.

    Raises:
        ValueError: a side below 3, the smallest window.
    """
    fitted = min(FILTER_SIZE, height, width)
    if fitted < SMALLEST:
        raise ValueError(f"maps must be {SMALLEST} pixels or more on both sides. Received: {height}x{width}")
    return fitted - 1 + fitted % 2


def scaled(maps) -> tuple[np.ndarray, np.ndarray]:
    """Each map of each image to [0, 1] by its own minimum and maximum; a constant one to 0.

    Args:
        maps: (B, H, W, C).

    Returns:
        (B, H, W, C) float32, and (B, C) bool: which were constant.

    Raises:
        ValueError: a value, or the span of a map, that is not finite.
    """
    maps = np.asarray(maps, np.float32)
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    with np.errstate(all="ignore"):
        span = high - low
    if not np.isfinite(span).all():
        raise ValueError("maps must be finite. Received: NaN or infinity")
    constant = span <= _CONSTANT * np.maximum(np.abs(low), np.abs(high))
    maps = np.where(constant, 0, (maps - low) / np.where(constant, 1, span))
    return maps, constant[:, 0, 0]


def ssim_sums(maps, rows=None, filter_size: int | None = None) -> np.ndarray:
    """SSIM between the maps of the same image, negative values taken for 0, summed over the images.

    Args:
        maps: (B, H, W, C) float32 in [0, 1].
        rows: places of the R maps to compare with all C; by default all, each pair worked out once.
        filter_size: of the Gaussian window of sigma 1.5; by default `fitted_filter_size`.

    Returns:
        (R, C) float64; entry (r, c) is of maps rows[r] and c. Memory beside it: ten times one image's maps.

    Raises:
        ValueError: fewer than 2 maps, or as `fitted_filter_size`.
    """
    _, height, width, channels = maps.shape
    if channels < 2:
        raise ValueError(f"similarity needs 2 maps or more. Received: {channels}")
    size = fitted_filter_size(height, width) if filter_size is None else filter_size
    windows = _windows(height, size), _windows(width, size)
    every = rows is None
    rows = np.arange(channels) if every else np.asarray(rows)
    sums = np.zeros((len(rows), channels))
    for image in maps:
        compare = _Comparer(image, windows)
        for place, row in enumerate(rows):
            start = row if every else 0  # of all pairs only the upper triangle
            sums[place, start:] += np.maximum(compare(row, start), 0)
    return sums + np.triu(sums, 1).T if every else sums


class _Comparer:
    """SSIM of one map of an image and many others.

    Of maps x and y, with E the window's weighted mean, SSIM is the mean over the windows of
    (2·E(x)·E(y) + c1)·(2·E(xy) − 2·E(x)·E(y) + c2) over
    (E(x)² + E(y)² + c1)·(E(x²) + E(y²) − E(x)² − E(y)² + c2). The brackets of the denominator are sums of one
    part for each map, with half of the constant; those of the numerator are halved.
    """

    def __init__(self, image: np.ndarray, windows):
        self.windows = windows
        self.maps = np.ascontiguousarray(image.transpose(0, 2, 1))  # (H, C, W)
        self.means = _windowed(self.maps, windows)
        power = self.means * self.means
        self.contrasts = _windowed(self.maps * self.maps, windows) - power + _C2 / 2
        self.powers = power + _C1 / 2

    def __call__(self, row: int, start: int) -> np.ndarray:
        """(C − start,) of map `row` and each from `start` on."""
        one, others = np.s_[:, row : row + 1], np.s_[:, start:]
        found = _windowed(self.maps[one] * self.maps[others], self.windows)
        part = self.means[one] * self.means[others]
        # In place: each pass over memory costs as much as the products of matrices.
        found -= part
        found += _C2 / 2
        part += _C1 / 2
        found *= part
        np.add(self.powers[one], self.powers[others], out=part)
        found /= part
        np.add(self.contrasts[one], self.contrasts[others], out=part)
        found /= part
        return 4 * found.mean((0, 2), dtype=np.float64)


def _windowed(maps: np.ndarray, windows) -> np.ndarray:
    """(H, N, W) → (H', N, W'), the weighted mean of each whole window."""
    rows, columns = windows
    height, count, width = maps.shape
    maps = rows @ maps.reshape(height, count * width)
    return (maps.reshape(-1, width) @ columns.T).reshape(len(rows), count, len(columns))


@lru_cache(maxsize=64)
def _windows(length: int, size: int) -> np.ndarray:
    """(length − size + 1, length): each window's Gaussian weights, of sum 1."""
    weights = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / SIGMA) ** 2)
    weights /= weights.sum()
    matrix = np.zeros((length - size + 1, length), np.float32)
    for place, row in enumerate(matrix):
        row[place : place + size] = weights
    return matrix
