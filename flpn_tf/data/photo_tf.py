"""Photos in the graph: decoded to the pixels of `flpn_tf.runtime.images.read_image`; warped one by one."""

import tensorflow as tf

from flpn_tf.data.geometry_batch import invert_affine
from flpn_tf.runtime.photo_header import MAX_PIXELS

_HEADER = 65536  # bytes; a small photo's header, and the largest EXIF block of a JPEG
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
    photo, number = decode_stored(encoded), orientation(encoded)
    return tf.cond(number > 1, lambda: _turned(photo, number), lambda: photo)


def decode_stored(encoded):
    """`decode_upright` without the turn."""
    size = photo_size(encoded)
    message = f"more than {MAX_PIXELS} pixels"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_prod(size) <= MAX_PIXELS, [message])]):
        # The kernel reads PNG as well. INTEGER_ACCURATE gives OpenCV's pixels; the default, other ones.
        return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


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
    total = tf.strings.length(encoded)
    # The walk through the header takes longer than decoding a small photo, and few of those need it.
    named = tf.strings.regex_full_match(tf.strings.substr(encoded, 0, _HEADER), rb"\C*(Exif|eXIf)\C*")
    return tf.cond(
        named | (total > _HEADER), lambda: _exif_orientation(encoded, total), lambda: tf.constant(1)
    )


def _exif_orientation(encoded, total):
    is_png = _is_png(encoded)

    def step(place, exif, end):
        """Past one segment of a JPEG or chunk of a PNG; `exif` … `end` is the TIFF block, once found."""
        part = tf.strings.substr(encoded, place, 10)
        digits = tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=10), tf.int32)
        kind, length = _number(digits, 0, 2), _number(digits, 2, 2)
        names_exif = (_number(digits, 4, 4) == _name(b"Exif")) & (_number(digits, 8, 2) == 0)
        passes = ((kind >= 0xFFE0) & (kind <= 0xFFEF)) | (kind == 0xFFFE)
        after_segment = tf.where(passes & (length >= 2), place + 2 + length, total)
        chunk, size = _number(digits, 4, 4), _number(digits, 0, 4)
        before_pixels = (chunk != _name(b"IDAT")) & (size >= 0) & (size < total)
        after_chunk = tf.where(before_pixels, place + 12 + size, total)
        in_segment = tf.where((kind == 0xFFE1) & names_exif & (length >= 8), place + 10, -1)
        in_chunk = tf.where(chunk == _name(b"eXIf"), place + 8, -1)
        after = tf.where(is_png, after_chunk, after_segment)
        block_end = tf.where(is_png, after_chunk - 4, after_segment)
        return after, tf.where(is_png, in_chunk, in_segment), tf.minimum(block_end, total)

    _, exif, end = tf.while_loop(
        lambda place, exif, end: (exif < 0) & (place < total),
        step,
        (tf.where(is_png, 8, 2), tf.constant(-1), total),
        maximum_iterations=1024,
    )
    found = (exif >= 0) & (exif < end)
    return tf.cond(found, lambda: _tag(tf.strings.substr(encoded, exif, end - exif)), lambda: tf.constant(1))


def _tag(tiff):
    """1–8 of a TIFF block; 1 where it is damaged or does not say."""
    digits = tf.cast(tf.io.decode_raw(tf.strings.substr(tiff, 0, _HEADER), tf.uint8), tf.int32)
    end = tf.size(digits)
    order = _number(digits, 0, 4)
    little = order == _name(b"II*\0")
    directory = _number(digits, 4, 4, little)
    entries = directory + 2 + 12 * tf.range(tf.minimum(_number(digits, directory, 2, little), _HEADER // 12))
    is_tag = (
        (_number(digits, entries, 2, little) == _ORIENTATION_TAG)
        & (_number(digits, entries + 2, 2, little) == _SHORT)
        & (entries + 12 <= end)
        & (little | (order == _name(b"MM\0*")))
    )
    values = tf.boolean_mask(_number(digits, entries + 8, 2, little), is_tag)
    value = tf.reduce_max(tf.concat([values[:1], [0]], axis=0))
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _number(digits, place, count, little=None):
    """`count` bytes as a number, big-endian unless `little`; 0 for those outside."""
    parts = []
    for i in range(count):
        inside = (place + i >= 0) & (place + i < tf.size(digits))
        parts.append(tf.where(inside, tf.gather(digits, tf.where(inside, place + i, 0)), 0))
    big = sum(part * 256 ** (count - 1 - i) for i, part in enumerate(parts))
    if little is None:
        return big
    return tf.where(little, sum(part * 256**i for i, part in enumerate(parts)), big)


def _name(four: bytes) -> int:
    return int.from_bytes(four)


def stored_points(points, number, sides):
    """Where points of an upright photo lie in the stored one, for EXIF orientation 1–8.

    Sampling there costs nothing; to turn the photo first takes ten times as long as to decode it.

    Args:
        points: x and y, any shape.
        number: int32 scalar.
        sides: (2,) float32, (height, width) as stored.
    """
    x, y = points
    crossed = number >= 5
    x, y = tf.where(crossed, y, x), tf.where(crossed, x, y)
    in_x = tf.reduce_any(number == [2, 3, 7, 8])
    in_y = tf.reduce_any(number == [3, 4, 6, 7])
    return tf.where(in_x, sides[1] - 1 - x, x), tf.where(in_y, sides[0] - 1 - y, y)


def _turned(photo, number):
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
