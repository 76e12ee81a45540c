"""The ranges of the training augmentation; `augment_batch` draws from them. Needs no TensorFlow."""

from dataclasses import dataclass

from flpn_tf.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random crop affine and of the colours; the defaults are the paper's for COCO.

    Every draw is uniform. The affine is one: half body, then translation, scale, rotation and flip change the
    map from photo to crop, and the photo is sampled once. Colours change as one affine of RGB.

    Attributes:
        rotation: degrees, in ±rotation.
        scale: the crop's extent is multiplied by a factor in 1 ± scale; below 1.
        flip: probability of a mirrored crop.
        translation: the crop's centre moves by ±translation of the box's sides (aspect fixed).
        half_body: probability that a person with more than 8 labelled joints is cut to the upper or the
            lower half (as the HRNet code does): each half as likely,
            one with fewer than 3 labelled joints never. Needs a skeleton with joints of both halves.
        brightness, contrast, saturation: the factor is in 1 ± the value; at most 1.
        hue: degrees, in ±hue, of a turn of the colour plane about grey.

    Raises:
        InputError: a value out of its range.
    """

    rotation: float = 40.0
    scale: float = 0.3
    flip: float = 0.5
    translation: float = 0.0
    half_body: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self):
        for name in ("rotation", "hue"):
            if not 0 <= getattr(self, name) <= 180:
                raise InputError(f"{name} must be in 0–180 degrees. Received: {getattr(self, name)}")
        if not 0 <= self.scale < 1:
            raise InputError(f"scale must be at least 0 and below 1. Received: {self.scale}")
        for name in ("flip", "half_body"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be a probability, 0–1. Received: {getattr(self, name)}")
        for name in ("translation", "brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be in 0–1. Received: {getattr(self, name)}")

    @property
    def changes_colours(self) -> bool:
        """Whether any colour range is above 0."""
        return any((self.brightness, self.contrast, self.saturation, self.hue))
