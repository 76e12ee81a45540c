"""Photos in the graph: decoded to the pixels of `flpn_tf.runtime.images.read_image`; warped one by one."""

import tensorflow as tf

from flpn_tf.data.geometry_batch import invert_affine
from flpn_tf.runtime.photo_header import MAX_PIXELS

_HEADER = 65536  # bytes; an EXIF block comes before the pixels, and is sought in this much
_ORIENTATION_TAG = 0x0112
_SHORT = 3  # of TIFF, 16 bits
_PNG = b"\x89PNG"


def decode_upright(encoded):
    """Decodes a JPEG or PNG, turned upright by its EXIF orientation.

    Args:
        encoded: scalar string, the file's content.

    Returns:
        (H, W, 3) uint8 RGB; grey becomes three channels, alpha is dropped.

    Raises:
        tf.errors.InvalidArgumentError: not such a file, cut short, or of more than MAX_PIXELS pixels.
    """
    size = photo_size(encoded)
    message = f"more than {MAX_PIXELS} pixels"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_prod(size) <= MAX_PIXELS, [message])]):
        # The kernel reads PNG as well. INTEGER_ACCURATE gives OpenCV's pixels; the default, other ones.
        photo = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    number = orientation(encoded)
    return tf.cond(number > 1, lambda: turned(photo, number), lambda: photo)


def photo_size(encoded):
    """(2,) int64 (height, width) as stored, from the header alone."""

    def of_png():
        sides = tf.strings.substr(encoded, 16, 8)
        four = tf.cast(tf.reshape(tf.io.decode_raw(sides, tf.uint8), (2, 4)), tf.int64)
        return tf.linalg.matvec(four, tf.constant([1 << 24, 1 << 16, 1 << 8, 1], tf.int64))[::-1]

    def of_jpeg():
        return tf.cast(tf.image.extract_jpeg_shape(encoded)[:2], tf.int64)

    return tf.cond(_is_png(encoded), of_png, of_jpeg)


def orientation(encoded):
    """The EXIF orientation, int32 1–8, of a JPEG's or PNG's content; 1 where it has none or a damaged one."""
    head = tf.strings.substr(encoded, 0, _HEADER)
    # The walk through the header takes longer than decoding a small photo, and few photos need it.
    may_have = tf.strings.regex_full_match(head, rb"\C*(Exif|eXIf)\C*")
    return tf.cond(may_have, lambda: _exif_orientation(head, _is_png(encoded)), lambda: tf.constant(1))


def _exif_orientation(head, is_png):
    header = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int32)
    total = tf.size(header)

    def number(place, count, end, little=None):
        """`count` bytes as a number, 0 for those at or behind `end`."""
        digits = []
        for i in range(count):
            inside = (place + i >= 0) & (place + i < end)
            digits.append(tf.where(inside, tf.gather(header, tf.where(inside, place + i, 0)), 0))
        big = sum(digit * 256 ** (count - 1 - i) for i, digit in enumerate(digits))
        if little is None:
            return big
        return tf.where(little, sum(digit * 256**i for i, digit in enumerate(digits)), big)

    def step(place, exif, end):
        """Past one segment of a JPEG or chunk of a PNG; `exif` … `end` is the TIFF block, once found."""
        kind, length = number(place, 2, total), number(place + 2, 2, total)
        names_exif = (number(place + 4, 4, total) == _name(b"Exif")) & (number(place + 8, 2, total) == 0)
        passes = ((kind >= 0xFFE0) & (kind <= 0xFFEF)) | (kind == 0xFFFE)
        after_segment = tf.where(passes & (length >= 2), place + 2 + length, _HEADER)
        chunk, size = number(place + 4, 4, total), number(place, 4, total)
        before_pixels = (chunk != _name(b"IDAT")) & (size >= 0) & (size < _HEADER)
        after_chunk = tf.where(before_pixels, place + 12 + size, _HEADER)
        in_segment = tf.where((kind == 0xFFE1) & names_exif, place + 10, -1)
        in_chunk = tf.where(chunk == _name(b"eXIf"), place + 8, -1)
        after = tf.where(is_png, after_chunk, after_segment)
        block_end = tf.where(is_png, after_chunk - 4, after_segment)
        return after, tf.where(is_png, in_chunk, in_segment), tf.minimum(block_end, total)

    _, exif, end = tf.while_loop(
        lambda place, exif, end: (exif < 0) & (place < total),
        step,
        (tf.where(is_png, 8, 2), tf.constant(-1), total),
        maximum_iterations=256,
    )

    def read_tag():
        order = number(exif, 4, end)
        little = order == _name(b"II*\0")
        directory = exif + number(exif + 4, 4, end, little)
        count = tf.minimum(number(directory, 2, end, little), _HEADER // 12)
        entries = directory + 2 + 12 * tf.range(count)
        is_tag = (
            (number(entries, 2, end, little) == _ORIENTATION_TAG)
            & (number(entries + 2, 2, end, little) == _SHORT)
            & (entries + 12 <= end)
            & (little | (order == _name(b"MM\0*")))
        )
        values = tf.boolean_mask(number(entries + 8, 2, end, little), is_tag)
        value = tf.reduce_max(tf.concat([values[:1], [0]], axis=0))
        return tf.where((value >= 1) & (value <= 8), value, 1)

    return tf.cond(exif >= 0, read_tag, lambda: tf.constant(1))


def _name(four: bytes) -> int:
    return int.from_bytes(four)


def turned(photo, number):
    """The photo as it is to be viewed, for EXIF orientation 2–8."""
    # As int32: oneDNN says on standard error that it has no transposition of bytes.
    across = lambda: tf.cast(tf.transpose(tf.cast(photo, tf.int32), (1, 0, 2)), tf.uint8)  # noqa: E731
    photo = tf.cond(number >= 5, across, lambda: photo)
    # After the transposition of 5–8, what is left is a mirror in x, in y, or both.
    in_x = tf.reduce_any(number == [2, 3, 6, 7])
    in_y = tf.reduce_any(number == [3, 4, 7, 8])
    photo = tf.cond(in_x, lambda: photo[:, ::-1], lambda: photo)
    return tf.cond(in_y, lambda: photo[::-1], lambda: photo)


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


def _is_png(encoded):
    # A shorter file has no size to read; TensorFlow would print its bytes, which Python can't decode.
    return (tf.strings.substr(encoded, 0, 4) == _PNG) & (tf.strings.length(encoded) >= 24)
