"""Photos in: from a path or an array, always RGB uint8."""

import re
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.native_stderr import capture_native_stderr

MIN_SIDE = 8  # pixels; nothing smaller shows a person
IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

# What libjpeg and libtiff write to standard error where pixels are lost; OpenCV still returns a picture.
_DAMAGE = re.compile(
    # Bytes too many before the end marker (0xd9) cost no pixel, and some cameras write them.
    rb"(Corrupt JPEG data: (?!\d+ extraneous bytes before marker 0xd9)|Premature end of JPEG|TIFF_Error).*"
)


def read_image(path: str | Path) -> np.ndarray:
    """Decodes a photo, turned upright by its EXIF orientation; grey becomes three channels, alpha is dropped.

    A file cut short is refused; where single bytes inside a JPEG, TIFF or BMP are damaged, the decoder may
    give a picture with wrong pixels. `read_intact_image` finds most of those.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        InputError: the file is missing, empty, not an image, cut short, or smaller than `MIN_SIDE`.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"Cannot read the image {path}: {error.strerror}") from error
    return decode_image(content, path)


def decode_image(content: bytes, source: str | Path) -> np.ndarray:
    """`read_image` of a file's content; `source` names it in errors."""
    if not content:
        raise InputError(f"The image {source} is an empty file")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise InputError(f"The image {source} cannot be decoded: {error.err or error.msg}") from error
    if image is None:
        raise InputError(f"{source} is not an image that can be decoded, or it is damaged")
    return check_image(image, str(source))


def read_intact_image(path: str | Path) -> np.ndarray:
    """`read_image`, and refuses a JPEG or TIFF that the decoder calls damaged on standard error.

    Redirects file descriptor 2 meanwhile: not for use beside other threads. Damage that leaves the format
    valid (any in a BMP or an uncompressed TIFF) cannot be seen.

    Raises:
        InputError: as `read_image`, or damage.
    """
    with refused_damage(path):
        return read_image(path)


@contextmanager
def refused_damage(source: str | Path):
    """A block that raises InputError where a decoder in it reports damage on standard error."""
    with capture_native_stderr() as stream:
        yield
        stream.seek(0)
        damage = _DAMAGE.search(stream.read())
    if damage:
        reason = damage[0].decode(errors="replace").strip()
        raise InputError(f"The image {source} is damaged; the decoder says: {reason}")


def check_image(image, source: str = "The image") -> np.ndarray:
    """Returns ``image`` if it is ``(H, W, 3)`` uint8 with sides of at least `MIN_SIDE`.

    Raises:
        InputError: otherwise, naming ``source``.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        received = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"{source}: an image is an RGB array (H, W, 3) of uint8. Received: {received}")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise InputError(
            f"{source}: an image needs at least {MIN_SIDE}x{MIN_SIDE} pixels to show a person. "
            f"Received: {width}x{height}"
        )
    return image
