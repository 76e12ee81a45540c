"""Twins of `flpn_tf.geometry` on batches, for arrays of numpy, JAX and TensorFlow; float32 throughout."""

import math

import numpy as np

from flpn_tf.data.namespace import namespace_of

_BORDER = 2  # photo pixels around what a crop shows, for the bilinear neighbours


def crop_affine(boxes, height, width, padding, motion=None):
    """Twin of `flpn_tf.geometry.crop_affine`: (B, 4) → (B, 2, 3), photo → crop.

    `motion` is an `augment_batch.Motion`; its translation moves the box by a fraction of its sides first.
    """
    xp = namespace_of(boxes)
    boxes = xp.asarray(boxes, np.float32)
    # Not `tf.unstack`: docs/decisions.md, *A wrong maximum*.
    x, y, w, h = (boxes[:, column] for column in range(4))
    shown = xp.maximum(w, h * (width / height))
    centre_x, centre_y = x + w / 2, y + h / 2
    zoom = width / (padding * shown)
    cos, sin = zoom, xp.zeros_like(zoom)
    if motion is not None:
        centre_x += motion.translation[:, 0] * shown
        centre_y += motion.translation[:, 1] * shown * (height / width)
        angle = motion.rotation * (math.pi / 180)
        cos, sin = zoom / motion.scale * xp.cos(angle), zoom / motion.scale * xp.sin(angle)
    first = xp.stack([cos, sin, width / 2 - cos * centre_x - sin * centre_y], axis=1)
    second = xp.stack([-sin, cos, height / 2 + sin * centre_x - cos * centre_y], axis=1)
    if motion is not None:
        mirrored = -first + np.array([0, 0, width - 1], np.float32)
        first = xp.where(motion.flip[:, np.newaxis], mirrored, first)
    return xp.stack([first, second], axis=1)


def invert_affine(affines):
    """Twin of `flpn_tf.geometry.invert_affine`: (..., 2, 3) → (..., 2, 3)."""
    xp = namespace_of(affines)
    (a, b, c), (d, e, f) = ([affines[..., row, column] for column in range(3)] for row in range(2))
    rows = [xp.stack([e, -b, b * f - c * e], axis=-1), xp.stack([-d, a, c * d - a * f], axis=-1)]
    return xp.stack(rows, axis=-2) / (a * e - b * d)[..., np.newaxis, np.newaxis]


def transform_points(points, affines):
    """Twin of `flpn_tf.geometry.transform_points`: (..., N, 2) and (..., 2, 3) → (..., N, 2)."""
    # Not a matrix product: GPUs compute those with 10 bits, half a pixel of 600.
    affines = affines[..., np.newaxis, :, :]
    return affines[..., 0] * points[..., :1] + affines[..., 1] * points[..., 1:] + affines[..., 2]


def shown_rectangle(affines, height, width):
    """The photo pixels that crops show, with a border of _BORDER.

    Args:
        affines: (B, 2, 3), photo → crop.

    Returns:
        (B, 2, 2): first and last + 1 (x, y) of each, whole numbers, not limited to the photo.
    """
    xp = namespace_of(affines)
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float32)
    corners = transform_points(corners, invert_affine(affines))
    first = xp.floor(xp.min(corners, axis=1)) - _BORDER
    last = xp.ceil(xp.max(corners, axis=1)) + _BORDER
    return xp.stack([first, last], axis=1)


def cut(photo, affine, rectangle):
    """The part of one photo (H, W, 3) in a (2, 2) rectangle, and the (2, 3) affine from there.

    At least a pixel. Not for JAX: the part's size depends on values.
    """
    xp = namespace_of(affine)
    height, width = (xp.shape(photo)[axis] for axis in (0, 1))
    size = xp.asarray(xp.stack([width, height]), np.float32)
    first = xp.clip(rectangle[0], 0.0, size - 1)
    last = xp.clip(rectangle[1], first + 1, size)
    shift = transform_points(first[np.newaxis], affine)[0]
    moved = xp.concatenate([affine[:, :2], shift[:, np.newaxis]], axis=1)
    start, stop = (xp.asarray(corner, np.int32) for corner in (first, last))
    return photo[start[1] : stop[1], start[0] : stop[0]], moved


def crop_points(affines, height, width):
    """Where crops' pixels lie in their photos: (B, 2, 3), photo → crop, gives x and y, (B, height, width)."""
    xp = namespace_of(affines)
    inverse = invert_affine(affines)[..., np.newaxis, np.newaxis]
    column = xp.arange(width, dtype=np.float32)[np.newaxis, np.newaxis]
    row = xp.arange(height, dtype=np.float32)[np.newaxis, :, np.newaxis]
    return tuple(inverse[:, i, 0] * column + inverse[:, i, 1] * row + inverse[:, i, 2] for i in (0, 1))


def warp_packed(pixels, starts, sizes, points, colours=None):
    """`flpn_tf.geometry.warp` of photos of different sizes that lie behind each other in one array.

    Made to be compiled by XLA: the four neighbours are gathered, weighted and rounded in one loop, 4 to 7
    times as fast as TensorFlow's `ImageProjectiveTransformV3` (`make bench-data`).

    Args:
        pixels: (N, 3) uint8, every photo's rows.
        starts: (B,) int32, each photo's first pixel.
        sizes: (B, 2) int32, (height, width) of each.
        points: x and y, (B, H, W) float32, of `crop_points`.
        colours: (B, 3, 4) float32 applied to the sampled RGB, or None. What lies outside a photo stays black.

    Returns:
        (B, H, W, 3) uint8.
    """
    x, y = points
    xp = namespace_of(x)
    left, top = xp.floor(x), xp.floor(y)
    right_share, lower_share = x - left, y - top
    # float → int32 of what int32 cannot hold is undefined; such points are outside anyhow.
    left, top = (xp.asarray(xp.clip(value, -2.0, 1e8), np.int32) for value in (left, top))
    heights, widths = sizes[:, 0, np.newaxis, np.newaxis], sizes[:, 1, np.newaxis, np.newaxis]
    colour, inside = 0.0, 0.0
    for down in (0, 1):
        for right in (0, 1):
            u, v = left + right, top + down
            valid = (u >= 0) & (u < widths) & (v >= 0) & (v < heights)
            share = (right_share if right else 1 - right_share) * (lower_share if down else 1 - lower_share)
            share = xp.where(valid, share, 0.0)
            place = xp.where(valid, starts[:, np.newaxis, np.newaxis] + v * widths + u, 0)
            found = xp.asarray(xp.take(pixels, place, axis=0, mode="clip"), np.float32)
            colour += found * share[..., np.newaxis]
            inside += share
    if colours is not None:
        colours = colours[:, np.newaxis, np.newaxis]
        colour = xp.sum(colour[..., np.newaxis, :] * colours[..., :3], axis=-1)
        colour += inside[..., np.newaxis] * colours[..., 3]
    return xp.asarray(xp.clip(xp.rint(colour), 0.0, 255.0), np.uint8)
