"""The training augmentation: one random affine per crop, a pure function of a seed."""

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random crop affine; the defaults are the paper's for COCO.

    Attributes:
        rotation: degrees, uniform in ±rotation.
        scale: the crop's extent is multiplied by a factor uniform in 1 ± scale.
        flip: probability of a mirrored crop.
    """

    rotation: float = 40.0
    scale: float = 0.3
    flip: float = 0.5

    def sample(self, seed):
        """(rotation in degrees, scale, flip) as scalar tensors.

        Args:
            seed: (2,) int tensor; the same seed gives the same sample.
        """
        rotation, scale, coin = tf.unstack(tf.random.stateless_uniform((3,), seed))
        rotation = (2 * rotation - 1) * self.rotation
        return rotation, 1 + (2 * scale - 1) * self.scale, coin < self.flip
