"""Files of photos and boxes → crops, as a TensorFlow graph in which a bad photo or box is an answer.

    B   boxes of a request
    U   its different photos
    P   boxes of one of them

An operation that fails would fail its whole request, and where the server puts several requests into one
batch, all of those.
"""

import tensorflow as tf

from flpn_tf.data.geometry_batch import crop_affine, crop_points, warp_packed
from flpn_tf.data.photo_tf import decode_stored, orientation, stored_points
from flpn_tf.runtime.estimator import MAX_COORDINATE, MIN_BOX_SIDE
from flpn_tf.runtime.images import MIN_SIDE
from flpn_tf.runtime.photo_header import MAX_PIXELS
from flpn_tf.spec import PoseSpec


def read_crops(image_bytes, boxes, spec: PoseSpec):
    """What `PoseEstimator.crops` gives for each box; a photo that is there several times is decoded once.

    Args:
        image_bytes: (B,) or (1,) strings, the content of JPEG or PNG files; one is that of all boxes.
        boxes: (B, 4) float32 `[x, y, w, h]` in pixels of the upright photo.

    Returns:
        crops (B, H, W, 3) uint8; affines (B, 2, 3) float32, from upright photo to crop; errors (B,) strings,
        empty where all is well, else what is wrong with the photo or the box, whose crop is then of no use.

    Raises:
        tf.errors.InvalidArgumentError: no box, or another number of photos.
    """
    count, given = tf.shape(boxes)[0], tf.shape(image_bytes)[0]
    checks = [
        tf.debugging.Assert(count > 0, ["boxes must hold one box or more. Received: none"]),
        # A server need not check a signature's shapes.
        tf.debugging.Assert(
            tf.size(boxes) == 4 * count, ["each box must be four numbers. Received: shape", tf.shape(boxes)]
        ),
        tf.debugging.Assert(
            (given == count) | (given == 1),
            ["image_bytes must hold one photo, or one for each box. Received: photos", given, "boxes", count],
        ),
    ]
    with tf.control_dependencies(checks):
        photos, photo_of = tf.unique(image_bytes)
    photo_of = tf.broadcast_to(photo_of, count[tf.newaxis])
    size = spec.input_height, spec.input_width
    found = (
        tf.TensorArray(tf.uint8, count, element_shape=(*size, 3)),
        tf.TensorArray(tf.float32, count, element_shape=(2, 3)),
        tf.TensorArray(tf.string, count, element_shape=()),
    )

    def read(number, found):
        of_photo = tf.cast(tf.where(photo_of == number)[:, 0], tf.int32)
        values = _crops_of(photos[number], tf.gather(boxes, of_photo), *size, spec.padding)
        pairs = zip(found, values, strict=True)
        return number + 1, tuple(array.scatter(of_photo, value) for array, value in pairs)

    _, found = tf.while_loop(lambda number, _: number < tf.size(photos), read, (0, found))
    return tuple(array.stack() for array in found)


def _crops_of(content, boxes, height, width, padding):
    """Crops, affines and errors of P boxes (P, 4) in one photo."""
    photo, number, decoded = _decoded(content)
    stored = tf.shape(photo)[:2]
    upright = tf.where(number >= 5, stored[::-1], stored)
    errors = tf.where(decoded, _photo_errors(upright), _NOT_DECODED)
    errors = tf.where(errors == "", _box_errors(boxes, tf.cast(upright, tf.float32)), errors)
    affines = crop_affine(boxes, height, width, padding)
    count = tf.shape(boxes)[0]
    crops = warp_packed(
        tf.reshape(photo, (-1, 3)),
        tf.zeros(count, tf.int32),
        tf.tile(stored[tf.newaxis], (count, 1)),
        stored_points(crop_points(affines, height, width), number, tf.cast(stored, tf.float32)),
    )
    return crops, affines, errors


_NOT_DECODED = (
    f"image_bytes cannot be decoded: send an intact JPEG or PNG of at most {MAX_PIXELS // 10**6} megapixels"
)


def _decoded(content):
    """The photo (h, w, 3) as stored, its orientation, True; a black pixel, 1, False where decoding fails."""

    def decode(content):
        return decode_stored(content), orientation(content), True

    # A data set is the one place in a graph that outlives the failure of an operation.
    photos = tf.data.Dataset.from_tensors(content).map(decode)
    nothing = tf.data.Dataset.from_tensors((tf.zeros((1, 1, 3), tf.uint8), 1, False))
    photo, number, decoded = photos.ignore_errors().concatenate(nothing).take(1).get_single_element()
    return tf.ensure_shape(photo, (None, None, 3)), number, decoded


def _photo_errors(sides):
    shown = tf.strings.format("{}x{}", (sides[1], sides[0]))
    message = f"image_bytes needs at least {MIN_SIDE}x{MIN_SIDE} pixels to show a person. Received: "
    return tf.where(tf.reduce_min(sides) < MIN_SIDE, message + shown, "")


def _box_errors(boxes, sides):
    """(P,) strings: the rules of `flpn_tf.runtime.estimator.check_boxes`, in its order."""
    x, y, w, h = (boxes[:, column] for column in range(4))
    height, width = sides[0], sides[1]
    # False for NaN, as every comparison with it.
    are_numbers = tf.reduce_all(tf.abs(boxes) <= MAX_COORDINATE, axis=1)
    touch = (x < width) & (y < height) & (x + w > 0) & (y + h > 0)
    size = tf.strings.format("{}x{}", (tf.cast(width, tf.int32), tf.cast(height, tf.int32)))
    errors = tf.where(touch, "", "boxes must touch the " + size + " image")
    wide_enough = tf.minimum(w, h) >= MIN_BOX_SIDE
    errors = tf.where(
        wide_enough, errors, f"boxes need a width and a height of at least {MIN_BOX_SIDE} pixels"
    )
    four = f"boxes must be four finite numbers [x, y, w, h], at most {MAX_COORDINATE:.0f} pixels"
    errors = tf.where(are_numbers, errors, four)
    shown = tf.strings.reduce_join(tf.strings.as_string(boxes, shortest=True), axis=1, separator=", ")
    return tf.where(errors == "", "", errors + ". Received: [" + shown + "]")
