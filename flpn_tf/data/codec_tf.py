"""TensorFlow twin of `HeatmapCodec.encode`, on batches."""

import tensorflow as tf

from flpn_tf.codec import WINDOW_SIGMAS, HeatmapCodec


def encode(codec: HeatmapCodec, points, visible):
    """Heatmap targets of a batch.

    Args:
        codec: says size, stride, σ and whether centres are rounded.
        points: (B, K, 2) float32, crop pixels.
        visible: (B, K), above 0 = labelled.

    Returns:
        heatmaps (B, H, W, K) and weights (B, K), float32, equal to `codec.encode` of each person.
    """
    centres = points / codec.stride
    if not codec.unbiased:
        centres = tf.floor(centres + 0.5)
    labelled = tf.cast(visible, tf.float32) > 0

    def profile(centre, size):
        distance = tf.range(size, dtype=tf.float32)[:, tf.newaxis] - centre[:, tf.newaxis]
        value = tf.exp(-tf.square(distance) / (2 * codec.sigma**2))
        return tf.where(tf.abs(distance) <= WINDOW_SIGMAS * codec.sigma, value, 0.0)

    columns = profile(centres[..., 0], codec.width)
    rows = profile(centres[..., 1], codec.height)
    inside = tf.reduce_any(columns > 0, axis=1) & tf.reduce_any(rows > 0, axis=1)
    weights = tf.cast(labelled & inside, tf.float32)
    rows *= weights[:, tf.newaxis]
    return rows[:, :, tf.newaxis] * columns[:, tf.newaxis], weights
