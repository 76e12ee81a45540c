"""Heatmaps → keypoints as a TensorFlow graph, such that a phone's GPU delegate takes it whole.

    B         crops; 1 for a phone, unknown for a server
    h, w, K   the heatmaps' height, width and joints
    M         the maps, joints first: (B, K, h, w); a map's column is a channel, so that the tables below are
              1×1 convolutions over a one-hot row or column

What `HeatmapCodec.decode` computes, without ARG_MAX, GATHER, comparisons or a rank above 4:
zeros become a one-hot by arithmetic, and what the rule reads around a peak (the border included) are tables
indexed by it. Every constant is a normal number in float16, and no intermediate overflows it for heatmaps
of magnitude below 1000.
"""

import numpy as np
import tensorflow as tf

from flpn_tf.codec import LOG_FLOOR, HeatmapCodec

_TINY = 2.0**-14  # float16's smallest normal number
# Multiplies the logarithms: a gaussian's curvature, 1/8 at σ = 2, becomes 2, the smallest determinant that
# counts as a peak's, _TINY, is 2e-7 in the codec's unit, and the largest product is 49,000.
_LOG_SCALE = 16.0
# Rows: d/dx, d/dy, d²/dx², d²/dy², d²/dxdy; columns: the 3×3 values around the centre, row by row.
_DERIVATIVES = (
    (0, 0, 0, -0.5, 0, 0.5, 0, 0, 0),
    (0, -0.5, 0, 0, 0, 0, 0, 0.5, 0),
    (0, 0, 0, 1, -2, 1, 0, 0, 0),
    (0, 1, 0, 0, -2, 0, 0, 1, 0),
    (0.25, 0, -0.25, 0, 0, 0, -0.25, 0, 0.25),
)


def _clip(values):
    """Within ±1."""
    return tf.maximum(tf.minimum(values, 1.0), -1.0)


def _sign(values):
    """-1, 0 or 1; exact for any number above 2^-36."""
    for _ in range(3):
        values = _clip(values) * 4096.0  # clipped first: nothing overflows float16
    return _clip(values)


def _positive(values):
    """1 where a value is above 0, else 0."""
    return tf.nn.relu(_sign(values))


def _first_of(values, peak):
    """One-hot (B, K, 1, n) of the first of n values that equals `peak`, and its index (B, K, 1, 1)."""
    size = values.shape[-1]
    # n - index where the value is the peak, else 0: whole numbers, exact in float16 up to 2048.
    remaining = (1.0 + _sign(values - peak)) * _constant(np.arange(size, 0, -1), values.dtype)
    most = tf.reduce_max(remaining, axis=3, keepdims=True)
    return tf.nn.relu(remaining - most + 1.0), size - most


def _constant(values, dtype):
    return tf.constant(np.asarray(values), dtype)


def _look_up(onehot, table):
    """(B, K, 1, n) one-hot → (B, K, 1, m): the row of `table` (n, m) it points at."""
    return tf.nn.conv2d(onehot, _constant(table[np.newaxis, np.newaxis], onehot.dtype), 1, "VALID")


def _choose(onehot, values):
    """(B, K, 1, n) one-hot → (B, K, 1, 1): the one of n fixed values."""
    return tf.reduce_sum(onehot * _constant(values, onehot.dtype), axis=3, keepdims=True)


def _upright(rows):
    """(B, K, 1, h) → (B, K, h, 1)."""
    batch, joints, _, height = rows.shape
    return tf.reshape(rows, (batch or -1, joints, height, 1))


def decode(heatmaps, codec: HeatmapCodec):
    """Finds each map's point by the codec's rule.

    Args:
        heatmaps: (B, h, w, K) tensor, B known or not, finite, float32 or float16.
        codec: of these heatmaps.

    Returns:
        (B, K, 3) rows (x, y, score) as `HeatmapCodec.decode` gives them, in crop pixels.
    """
    batch, height, width, joints = heatmaps.shape
    batch = batch or -1
    maps = tf.transpose(heatmaps, (0, 3, 1, 2))
    row_peaks = tf.reduce_max(maps, axis=3, keepdims=True)
    peak = tf.reduce_max(row_peaks, axis=2, keepdims=True)
    row, y = _first_of(tf.reshape(row_peaks, (batch, joints, 1, height)), peak)
    line = tf.reduce_sum(maps * _upright(row), axis=2, keepdims=True)
    column, x = _first_of(line, peak)
    score = tf.nn.relu(peak)
    if codec.decode_rule != "argmax":
        if codec.decode_rule == "quarter":
            pillar = tf.reduce_sum(maps * column, axis=3, keepdims=True)
            pillar = tf.reshape(pillar, (batch, joints, 1, height))
            dx, dy = _quarter(line, column), _quarter(pillar, row)
        else:
            dx, dy = _newton(maps, row, column, score, codec)
        found = _positive(score)
        x, y = x + dx * found, y + dy * found
    keypoints = tf.concat([x * codec.stride, y * codec.stride, score], axis=3)
    return tf.reshape(keypoints, (batch, joints, 3))


def _quarter(line, onehot):
    """±¼ or 0 towards the higher neighbour on the line (B, K, 1, n) through the peak."""
    size = line.shape[-1]
    neighbours = np.eye(size, k=1) - np.eye(size, k=-1)
    neighbours[[0, -1]] = 0.0
    inwards = np.zeros(size)
    inwards[[0, -1]] = 1.0, -1.0
    difference = tf.reduce_sum(line * _look_up(onehot, neighbours), axis=3, keepdims=True)
    return 0.25 * (_sign(difference) + _choose(onehot, inwards))


def _smoothing(size, codec):
    """The codec's smoothing at each peak index of an axis: weights (size, 3, size) of the values -1, 0 and +1
    from the centre, and how far the centre lies from the peak (size,)."""
    kernels = codec.smoothing_rows()
    reach = kernels.shape[0] - 1
    index = np.arange(size)
    centre = np.clip(index, 1, size - 2)
    fits = np.minimum(np.minimum(centre - 1, size - 2 - centre), reach)
    table = np.zeros((size, 3, size + 2 * reach + 2))
    for peak in index:
        table[peak, :, centre[peak] : centre[peak] + 2 * reach + 3] = kernels[fits[peak]]
    return table[:, :, reach + 1 : -reach - 1], centre - index


def _newton(maps, row, column, score, codec):
    """The offsets (B, K, 1, 1) in x and y of the rule "dark"."""
    rows, y_moved = _smoothing(codec.height, codec)
    columns, x_moved = _smoothing(codec.width, codec)
    weights = [_look_up(row, rows[:, i]) for i in range(3)]
    lines = tf.concat([tf.reduce_sum(maps * _upright(w), axis=2, keepdims=True) for w in weights], axis=2)
    weights = [_look_up(column, columns[:, i]) for i in range(3)]
    around = tf.concat([tf.reduce_sum(lines * w, axis=3, keepdims=True) for w in weights], axis=3)
    # Of a peak below _TINY the floor is a fraction of _TINY.
    fractions = tf.maximum(around / tf.maximum(score, _TINY), LOG_FLOOR)
    log = tf.reshape(tf.math.log(fractions) * _LOG_SCALE, (maps.shape[0] or -1, maps.shape[1], 1, 9))
    dx, dy, dxx, dyy, dxy = tf.split(_look_up(log, np.transpose(_DERIVATIVES)), 5, axis=3)
    determinant = dxx * dyy - dxy * dxy
    # Only a peak (negative definite Hessian) has a maximum to go to.
    is_peak = _positive(determinant - _TINY) * _positive(-dxx)
    determinant = tf.maximum(determinant, _TINY)
    x = _choose(column, x_moved) + (dxy * dy - dyy * dx) / determinant
    y = _choose(row, y_moved) + (dxy * dx - dxx * dy) / determinant
    return _clip(x) * is_peak, _clip(y) * is_peak
