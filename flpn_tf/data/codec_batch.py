"""Twin of `HeatmapCodec.encode` on batches, for arrays of numpy, JAX and TensorFlow."""

import numpy as np

from flpn_tf.codec import WINDOW_SIGMAS, HeatmapCodec
from flpn_tf.data.namespace import namespace_of


def encode(codec: HeatmapCodec, points, visible):
    """Heatmap targets of a batch.

    Args:
        codec: says size, stride, σ and whether centres are rounded.
        points: (B, K, 2) float32, crop pixels.
        visible: (B, K), above 0 = labelled.

    Returns:
        heatmaps (B, H, W, K) and weights (B, K), float32, equal to `codec.encode` of each person.
    """
    xp = namespace_of(points)
    centres = points / codec.stride
    if not codec.unbiased:
        centres = xp.floor(centres + 0.5)

    def profile(centre, size):
        distance = xp.arange(size, dtype=np.float32)[:, np.newaxis] - centre[:, np.newaxis]
        value = xp.exp(distance * distance / (-2 * codec.sigma**2))
        return xp.where(xp.abs(distance) <= WINDOW_SIGMAS * codec.sigma, value, 0.0)

    columns = profile(centres[..., 0], codec.width)
    rows = profile(centres[..., 1], codec.height)
    inside = xp.any(columns > 0, axis=1) & xp.any(rows > 0, axis=1)
    weights = xp.asarray((visible > 0) & inside, np.float32)
    rows = rows * weights[:, np.newaxis]
    return rows[:, :, np.newaxis] * columns[:, np.newaxis], weights
