"""TensorFlow twins of `flpn_tf.geometry`, batch-free, for use inside tf.data."""

import tensorflow as tf


def crop_affine(box, height, width, padding, rotation=0.0, scale=1.0, flip=False):
    """Twin of `flpn_tf.geometry.crop_affine`: box (4,) float32 → (2, 3) float32, image → crop.

    `rotation` (degrees), `scale` and `flip` may be tensors.
    """
    x, y, w, h = tf.unstack(tf.cast(box, tf.float32))
    zoom = width / (padding * tf.maximum(w, h * width / height) * scale)
    angle = rotation * (3.141592653589793 / 180)
    cos, sin = zoom * tf.cos(angle), zoom * tf.sin(angle)
    centre_x, centre_y = x + w / 2, y + h / 2
    first = tf.stack([cos, sin, width / 2 - cos * centre_x - sin * centre_y])
    second = tf.stack([-sin, cos, height / 2 + sin * centre_x - cos * centre_y])
    mirrored = tf.constant([0.0, 0.0, width - 1.0]) - first
    return tf.stack([tf.where(flip, mirrored, first), second])


def invert_affine(affine):
    """Twin of `flpn_tf.geometry.invert_affine`: (2, 3) → (2, 3)."""
    a, b, c = tf.unstack(affine[0])
    d, e, f = tf.unstack(affine[1])
    determinant = a * e - b * d
    rows = [[e, -b, b * f - c * e], [-d, a, c * d - a * f]]
    return tf.stack([tf.stack(row) for row in rows]) / determinant


def transform_points(points, affine):
    """Twin of `flpn_tf.geometry.transform_points`: (..., 2) float32 → the same shape."""
    return tf.linalg.matmul(points, affine[:, :2], transpose_b=True) + affine[:, 2]


def warp(image, affine, height, width):
    """Twin of `flpn_tf.geometry.warp`: (H, W, 3) uint8 → (height, width, 3) uint8."""
    inverse = tf.reshape(invert_affine(affine), (6,))
    transform = tf.concat([inverse, tf.zeros(2)], axis=0)[tf.newaxis]
    crop = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32)[tf.newaxis],
        transforms=transform,
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
    crop = tf.saturate_cast(tf.round(crop), tf.uint8)
    return tf.ensure_shape(crop, (height, width, 3))
