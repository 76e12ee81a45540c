"""Draws the augmentation of a batch: uniform numbers → boxes, affine parameters and colour transforms."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from flpn_tf.data.augment import Augmentation
from flpn_tf.data.half_body import HALF_BODY_AT_LEAST, HALF_BODY_EXTENT, HALF_BODY_MORE_THAN
from flpn_tf.skeleton import Skeleton

# Keeps the random numbers of the augmentation apart from those of the order.
_STREAM = 1
DRAWS = 12

# RGB → luma (ITU-R BT.601) and two axes of colour (the YIQ of NTSC), whose plane the hue turns.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_MID_GREY = 127.5


class Motion(NamedTuple):
    """The (B,) degrees, factors and bools, and (B, 2) fractions of the box, of `geometry_tf.crop_affine`."""

    rotation: tf.Tensor
    scale: tf.Tensor
    flip: tf.Tensor
    translation: tf.Tensor


def uniforms(seed: int, step, count) -> tf.Tensor:
    """(count, DRAWS) float32 in [0, 1), a function of seed and step alone."""
    stream = tf.constant([seed, _STREAM], tf.int64)
    key = tf.random.experimental.stateless_fold_in(stream, tf.cast(step, tf.int64))
    return tf.random.stateless_uniform((count, DRAWS), key)


def draw_motion(augmentation: Augmentation, numbers) -> Motion:
    """The affine's parameters, from columns 0–4 of `uniforms`."""
    centred = 2 * numbers - 1
    return Motion(
        centred[:, 0] * augmentation.rotation,
        1 + centred[:, 1] * augmentation.scale,
        numbers[:, 2] < augmentation.flip,
        centred[:, 3:5] * augmentation.translation,
    )


def half_bodies(augmentation: Augmentation, numbers, boxes, keypoints, skeleton: Skeleton, padding: float):
    """Boxes of the people, some cut to one half of the body (columns 5 and 6 of `uniforms`).

    Args:
        boxes: (B, 4) float32 [x, y, w, h].
        keypoints: (B, K, 3) float32 (x, y, v).
        padding: of the crop; the half's extent is enlarged by HALF_BODY_EXTENT instead of it.

    Returns:
        (B, 4) float32.
    """
    labelled = keypoints[..., 2] > 0
    is_lower = tf.constant(skeleton.lower_body)
    halves = tf.stack([labelled & ~is_lower, labelled & is_lower], axis=1)
    possible = tf.reduce_sum(tf.cast(halves, tf.int32), axis=2) >= HALF_BODY_AT_LEAST
    wants_lower = numbers[:, 6] >= 0.5
    lower = (wants_lower & possible[:, 1]) | ~possible[:, 0]
    chosen = tf.gather(halves, tf.cast(lower, tf.int32), axis=1, batch_dims=1)
    cut = (
        (numbers[:, 5] < augmentation.half_body)
        & (tf.reduce_sum(tf.cast(labelled, tf.int32), axis=1) > HALF_BODY_MORE_THAN)
        & tf.reduce_any(possible, axis=1)
    )
    weights = tf.cast(chosen, tf.float32)[..., tf.newaxis]
    points = keypoints[..., :2]
    centre = tf.math.divide_no_nan(tf.reduce_sum(points * weights, axis=1), tf.reduce_sum(weights, axis=1))
    far = tf.constant(1e30)
    low = tf.reduce_min(tf.where(weights > 0, points, far), axis=1)
    high = tf.reduce_max(tf.where(weights > 0, points, -far), axis=1)
    size = tf.maximum(high - low, 1.0) * (HALF_BODY_EXTENT / padding)
    halved = tf.concat([centre - size / 2, size], axis=1)
    return tf.where(cut[:, tf.newaxis], halved, boxes)


def draw_colours(augmentation: Augmentation, numbers) -> tf.Tensor:
    """(B, 3, 4) float32: RGB → brightness · (contrast about mid-grey · (saturation and hue · RGB)), 0–255.

    From columns 7–10 of `uniforms`.
    """
    centred = 2 * numbers - 1
    brightness = 1 + centred[:, 7] * augmentation.brightness
    contrast = 1 + centred[:, 8] * augmentation.contrast
    saturation = 1 + centred[:, 9] * augmentation.saturation
    angle = centred[:, 10] * augmentation.hue * (np.pi / 180)
    cos, sin = saturation * tf.cos(angle), saturation * tf.sin(angle)
    zero, one = tf.zeros_like(cos), tf.ones_like(cos)
    turn = tf.stack(
        [
            tf.stack([one, zero, zero], axis=1),
            tf.stack([zero, cos, -sin], axis=1),
            tf.stack([zero, sin, cos], axis=1),
        ],
        axis=1,
    )
    to_yiq, from_yiq = tf.constant(_YIQ, tf.float32), tf.constant(np.linalg.inv(_YIQ), tf.float32)
    linear = tf.einsum("ij,bjk,kl->bil", from_yiq, turn, to_yiq)
    gain = (brightness * contrast)[:, tf.newaxis, tf.newaxis]
    offset = tf.tile((brightness * (1 - contrast) * _MID_GREY)[:, tf.newaxis, tf.newaxis], (1, 3, 1))
    return tf.concat([linear * gain, offset], axis=2)
