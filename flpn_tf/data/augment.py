"""The ranges of the training augmentation; `pipeline` draws from them. Needs no TensorFlow."""

from dataclasses import dataclass

from flpn_tf.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random crop affine; the defaults are the paper's for COCO.

    Attributes:
        rotation: degrees, uniform in ±rotation.
        scale: the crop's extent is multiplied by a factor uniform in 1 ± scale; below 1.
        flip: probability of a mirrored crop.

    Raises:
        InputError: a value out of its range.
    """

    rotation: float = 40.0
    scale: float = 0.3
    flip: float = 0.5

    def __post_init__(self):
        if not 0 <= self.rotation <= 180:
            raise InputError(f"rotation must be in 0–180 degrees. Received: {self.rotation}")
        if not 0 <= self.scale < 1:
            raise InputError(f"scale must be at least 0 and below 1. Received: {self.scale}")
        if not 0 <= self.flip <= 1:
            raise InputError(f"flip must be a probability, 0–1. Received: {self.flip}")
