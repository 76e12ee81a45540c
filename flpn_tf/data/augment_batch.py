"""The augmentation of a batch: uniform numbers → boxes, affine parameters and colour transforms.

For arrays of numpy, JAX and TensorFlow; who makes the numbers, (B, DRAWS) float32 in [0, 1), is the caller's
affair.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from flpn_tf.data.augment import Augmentation
from flpn_tf.data.half_body import HALF_BODY_AT_LEAST, HALF_BODY_EXTENT, HALF_BODY_MORE_THAN
from flpn_tf.data.namespace import namespace_of
from flpn_tf.skeleton import Skeleton

DRAWS = 12

# RGB → luma (ITU-R BT.601) and two axes of colour (the YIQ of NTSC), whose plane the hue turns.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
# What a turn of that plane does to RGB: a part that stays, and those that go with its cosine and its sine.
_STAYS, _COSINE, _SINE = (
    (np.linalg.inv(_YIQ) @ part @ _YIQ).astype(np.float32)
    for part in (np.diag([1, 0, 0]), np.diag([0, 1, 1]), np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]]))
)
_MID_GREY = 127.5


class Motion(NamedTuple):
    """For `geometry_batch.crop_affine`: (B,) degrees, factors and bools, and (B, 2) fractions of the box."""

    rotation: Any
    scale: Any
    flip: Any
    translation: Any


def draw_motion(augmentation: Augmentation, numbers) -> Motion:
    """The affine's parameters, from columns 0–4 of the uniform numbers."""
    centred = 2 * numbers - 1
    return Motion(
        centred[:, 0] * augmentation.rotation,
        1 + centred[:, 1] * augmentation.scale,
        numbers[:, 2] < augmentation.flip,
        centred[:, 3:5] * augmentation.translation,
    )


def half_bodies(augmentation: Augmentation, numbers, boxes, keypoints, skeleton: Skeleton, padding: float):
    """Boxes of the people, some cut to one half of the body (columns 5 and 6 of the uniform numbers).

    Args:
        boxes: (B, 4) float32 [x, y, w, h].
        keypoints: (B, K, 3) float32 (x, y, v).
        padding: of the crop; the half's extent is enlarged by HALF_BODY_EXTENT instead of it.

    Returns:
        (B, 4) float32.
    """
    xp = namespace_of(keypoints)

    def count(joints):
        return xp.sum(xp.asarray(joints, np.int32), axis=1)

    labelled = keypoints[..., 2] > 0
    upper, lower = labelled & ~skeleton.lower_body, labelled & skeleton.lower_body
    has_upper, has_lower = (count(half) >= HALF_BODY_AT_LEAST for half in (upper, lower))
    takes_lower = ((numbers[:, 6] >= 0.5) & has_lower) | ~has_upper
    chosen = xp.where(takes_lower[:, np.newaxis], lower, upper)[..., np.newaxis]
    cut = (
        (numbers[:, 5] < augmentation.half_body)
        & (count(labelled) > HALF_BODY_MORE_THAN)
        & (has_upper | has_lower)
    )
    weights = xp.asarray(chosen, np.float32)
    points = keypoints[..., :2]
    centre = xp.sum(points * weights, axis=1) / xp.maximum(xp.sum(weights, axis=1), 1.0)
    far = 1e30
    low = xp.min(xp.where(chosen, points, far), axis=1)
    high = xp.max(xp.where(chosen, points, -far), axis=1)
    size = xp.maximum(high - low, 1.0) * (HALF_BODY_EXTENT / padding)
    halved = xp.concatenate([centre - size / 2, size], axis=1)
    return xp.where(cut[:, np.newaxis], halved, boxes)


def draw_colours(augmentation: Augmentation, numbers):
    """(B, 3, 4) float32: RGB → brightness · (contrast about mid-grey · (saturation and hue · RGB)), 0–255.

    From columns 7–10 of the uniform numbers.
    """
    xp = namespace_of(numbers)
    centred = (2 * numbers - 1)[..., np.newaxis, np.newaxis]
    brightness = 1 + centred[:, 7] * augmentation.brightness
    contrast = 1 + centred[:, 8] * augmentation.contrast
    saturation = 1 + centred[:, 9] * augmentation.saturation
    angle = centred[:, 10] * (augmentation.hue * math.pi / 180)
    turned = xp.cos(angle) * _COSINE + xp.sin(angle) * _SINE
    linear = brightness * contrast * (saturation * turned + _STAYS)
    offset = brightness * (1 - contrast) * np.full((3, 1), _MID_GREY, np.float32)
    return xp.concatenate([linear, offset], axis=2)
