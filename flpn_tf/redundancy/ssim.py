"""SSIM between many feature maps at once, the same numbers as `tf.image.ssim` pair by pair.

The mean and the square's mean of a map's windows are worked out once for each map and not for each pair, and
the Gaussian window is two matrix products over all pairs. In `keras.ops`: needs no TensorFlow.
"""

from functools import lru_cache

import numpy as np
from keras import ops

FILTER_SIZE, SIGMA = 11, 1.5  # of Wang et al. 2004, and of tf.image.ssim
_C1, _C2 = 0.01**2, 0.03**2  # for values in 0–1
_SMALLEST = 3  # window: one of 1 pixel has no contrast to compare
_CHUNK = 2**23  # values of one product of maps
_CONSTANT = 1e-6  # span of a constant map, in parts of its largest value


def fitted_filter_size(height: int, width: int) -> int:
    """The largest odd window up to `FILTER_SIZE` that fits maps of this size.

    Raises:
        ValueError: a side below 3, the smallest window.
    """
    fitted = min(FILTER_SIZE, height, width)
    if fitted < _SMALLEST:
        raise ValueError(f"maps must be {_SMALLEST} pixels or more on both sides. Received: {height}x{width}")
    return fitted - 1 + fitted % 2


def scaled(maps) -> tuple[np.ndarray, np.ndarray]:
    """Each map of each image to [0, 1] by its own minimum and maximum; a constant one to 0.

    Args:
        maps: (B, H, W, C).

    Returns:
        (B, H, W, C) float32, and (B, C) bool: which were constant.

    Raises:
        ValueError: a value that is not finite.
    """
    maps = np.asarray(maps, np.float32)
    if not np.isfinite(maps).all():
        raise ValueError("maps must be finite. Received: NaN or infinity")
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    span = high - low
    constant = span <= _CONSTANT * np.maximum(np.abs(low), np.abs(high))
    maps = np.where(constant, 0, (maps - low) / np.where(constant, 1, span))
    return maps, constant[:, 0, 0]


def ssim_sums(maps, rows=None, filter_size: int | None = None) -> np.ndarray:
    """SSIM between the maps of the same image, negative values taken for 0, summed over the images.

    Args:
        maps: (B, H, W, C) in [0, 1].
        rows: places of the R maps to compare with all C; by default all, each pair worked out once.
        filter_size: of the Gaussian window of sigma 1.5; by default `fitted_filter_size`.

    Returns:
        (R, C) float64; entry (r, c) is of maps rows[r] and c. Memory beside it is bounded by a few times
        32 MB or, if larger, the maps of one image.

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
    step = max(1, _CHUNK // (channels * height * width))
    for image in maps:
        image = ops.convert_to_tensor(np.ascontiguousarray(image.transpose(0, 2, 1)))  # (H, C, W)
        means, squares = _windowed(image, windows), _windowed(image * image, windows)
        for first in range(0, len(rows), step):
            chosen = rows[first : first + step]
            start = first if every else 0  # of all pairs only the upper triangle
            found = _ssim(image, means, squares, chosen, start, windows)
            sums[first : first + step, start:] += np.maximum(ops.convert_to_numpy(found), 0)
    if every:
        sums = np.triu(sums)
        sums += np.triu(sums, 1).T
    return sums


def _ssim(image, means, squares, rows, start, windows):
    """(R, C − start)."""
    ones = (ops.take(part, rows, 1)[:, :, None] for part in (image, means, squares))
    others = (part[:, None, start:] for part in (image, means, squares))
    (one, mean, square), (other, other_mean, other_square) = ones, others
    product = one * other
    height, count, columns, width = product.shape
    product = _windowed(ops.reshape(product, (height, count * columns, width)), windows)
    product = ops.reshape(product, (-1, count, columns, product.shape[-1]))
    both = mean * other_mean
    luminance = mean * mean + other_mean * other_mean
    numerator = (2 * both + _C1) * (2 * (product - both) + _C2)
    denominator = (luminance + _C1) * (square + other_square - luminance + _C2)
    return ops.mean(numerator / denominator, (0, 3))


def _windowed(maps, windows):
    """(H, N, W) → (H', N, W'), the weighted mean of each whole window."""
    rows, columns = windows
    height, count, width = maps.shape
    maps = ops.matmul(rows, ops.reshape(maps, (height, count * width)))
    maps = ops.matmul(ops.reshape(maps, (-1, width)), ops.transpose(columns))
    return ops.reshape(maps, (rows.shape[0], count, columns.shape[0]))


@lru_cache(maxsize=64)
def _windows(length: int, size: int) -> np.ndarray:
    """(length − size + 1, length): each window's Gaussian weights, of sum 1."""
    weights = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / SIGMA) ** 2)
    weights /= weights.sum()
    matrix = np.zeros((length - size + 1, length), np.float32)
    for place, row in enumerate(matrix):
        row[place : place + size] = weights
    return matrix
