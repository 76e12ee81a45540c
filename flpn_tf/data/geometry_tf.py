"""TensorFlow twins of `flpn_tf.geometry`, on batches, for use inside tf.data."""

import tensorflow as tf


def crop_affine(boxes, height, width, padding, motion=None):
    """Twin of `flpn_tf.geometry.crop_affine`: (B, 4) float32 → (B, 2, 3) float32, photo → crop.

    `motion` is an `augment_tf.Motion`; its translation moves the box by a fraction of its sides first.
    """
    boxes = tf.cast(boxes, tf.float32)
    # Not `tf.unstack`: docs/decisions.md, *A wrong maximum*.
    x, y, w, h = (boxes[:, column] for column in range(4))
    shown = tf.maximum(w, h * (width / height))
    centre_x, centre_y = x + w / 2, y + h / 2
    zoom = width / (padding * shown)
    cos, sin = zoom, tf.zeros_like(zoom)
    if motion is not None:
        centre_x += motion.translation[:, 0] * shown
        centre_y += motion.translation[:, 1] * shown * (height / width)
        angle = motion.rotation * (3.141592653589793 / 180)
        cos, sin = zoom / motion.scale * tf.cos(angle), zoom / motion.scale * tf.sin(angle)
    first = tf.stack([cos, sin, width / 2 - cos * centre_x - sin * centre_y], axis=1)
    second = tf.stack([-sin, cos, height / 2 + sin * centre_x - cos * centre_y], axis=1)
    if motion is not None:
        mirrored = tf.constant([0.0, 0.0, width - 1.0]) - first
        first = tf.where(motion.flip[:, tf.newaxis], mirrored, first)
    return tf.stack([first, second], axis=1)


def invert_affine(affines):
    """Twin of `flpn_tf.geometry.invert_affine`: (..., 2, 3) → (..., 2, 3)."""
    (a, b, c), (d, e, f) = ([affines[..., row, column] for column in range(3)] for row in range(2))
    rows = [tf.stack([e, -b, b * f - c * e], axis=-1), tf.stack([-d, a, c * d - a * f], axis=-1)]
    return tf.stack(rows, axis=-2) / (a * e - b * d)[..., tf.newaxis, tf.newaxis]


def transform_points(points, affines):
    """Twin of `flpn_tf.geometry.transform_points`: (B, N, 2) and (B, 2, 3) → (B, N, 2), float32."""
    linear = tf.linalg.matmul(points, affines[..., :2], transpose_b=True)
    return linear + affines[..., tf.newaxis, :, 2]


def warp(photo, affine, height, width):
    """Twin of `flpn_tf.geometry.warp`, one photo of any size: (H, W, 3) → (height, width, 3), uint8."""
    inverse = tf.reshape(invert_affine(affine), (6,))
    crop = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(photo, tf.float32)[tf.newaxis],
        transforms=tf.concat([inverse, tf.zeros(2)], axis=0)[tf.newaxis],
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
    crop = tf.saturate_cast(tf.round(crop), tf.uint8)
    return tf.ensure_shape(crop, (height, width, 3))


def warp_packed(pixels, starts, sizes, affines, height, width, colours=None):
    """`warp` of a batch of photos of different sizes that lie behind each other in one array.

    Made to be compiled by XLA: the four neighbours are gathered, weighted and rounded in one loop, 4 to 7
    times as fast as `ImageProjectiveTransformV3` (`make bench-data`).

    Args:
        pixels: (N, 3) uint8, every photo's rows.
        starts: (B,) int32, each photo's first pixel.
        sizes: (B, 2) int32, (height, width) of each.
        affines: (B, 2, 3) float32, photo → crop.
        colours: (B, 3, 4) float32 applied to the sampled RGB, or None. What lies outside a photo stays black.

    Returns:
        (B, height, width, 3) uint8.
    """
    inverse = invert_affine(affines)[..., tf.newaxis, tf.newaxis]
    column = tf.range(width, dtype=tf.float32)[tf.newaxis, tf.newaxis]
    row = tf.range(height, dtype=tf.float32)[tf.newaxis, :, tf.newaxis]
    x = inverse[:, 0, 0] * column + inverse[:, 0, 1] * row + inverse[:, 0, 2]
    y = inverse[:, 1, 0] * column + inverse[:, 1, 1] * row + inverse[:, 1, 2]
    left, top = tf.floor(x), tf.floor(y)
    right_share, lower_share = x - left, y - top
    # float → int32 of what int32 cannot hold is undefined; such points are outside anyhow.
    left, top = (tf.cast(tf.clip_by_value(value, -2.0, 1e8), tf.int32) for value in (left, top))
    heights, widths = sizes[:, 0, tf.newaxis, tf.newaxis], sizes[:, 1, tf.newaxis, tf.newaxis]
    colour, inside = 0.0, 0.0
    for down in (0, 1):
        for right in (0, 1):
            u, v = left + right, top + down
            valid = (u >= 0) & (u < widths) & (v >= 0) & (v < heights)
            share = (right_share if right else 1 - right_share) * (lower_share if down else 1 - lower_share)
            share = tf.where(valid, share, 0.0)
            place = tf.where(valid, starts[:, tf.newaxis, tf.newaxis] + v * widths + u, 0)
            colour += tf.cast(tf.gather(pixels, place), tf.float32) * share[..., tf.newaxis]
            inside += share
    if colours is not None:
        colours = colours[:, tf.newaxis, tf.newaxis]
        colour = tf.reduce_sum(colour[..., tf.newaxis, :] * colours[..., :3], axis=-1)
        colour += inside[..., tf.newaxis] * colours[..., 3]
    return tf.cast(tf.clip_by_value(tf.round(colour), 0.0, 255.0), tf.uint8)
