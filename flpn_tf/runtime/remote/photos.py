"""Photos out: as the server takes them."""

import os
from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.files import encode_picture
from flpn_tf.runtime.images import check_image, decode_image
from flpn_tf.runtime.photo_header import check_pixels, read_header

PhotoLike = str | os.PathLike | bytes | bytearray | memoryview | np.ndarray


def to_send(image: PhotoLike, name: str) -> tuple[bytes, int, int]:
    """The content of a JPEG or PNG file, and width and height of the upright photo.

    Args:
        image: as `RemoteEstimator.estimate` takes it.
        name: what messages call it.

    Raises:
        InputError: unreadable, or of more pixels than the server takes.
    """
    if not isinstance(image, np.ndarray):
        content = _content(image, name)
        header = read_header(content)
        if header is not None:
            check_pixels(*header.upright_size, name)
        # Decoders differ on an eXIf that is damaged or stands behind the pixels: this one's word counts.
        if header is not None and not (header.format == "png" and b"eXIf" in content):
            return content, *header.upright_size
        # That, another format, or no photo, which is said here.
        image = decode_image(content, name)
    height, width = check_image(image, name).shape[:2]
    check_pixels(width, height, name)
    return encode_picture(image, ".png"), width, height


def _content(image, name: str) -> bytes:
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return read_file(image)
    raise InputError(
        f"{name}: an image is a path, a file's content, or an RGB array (H, W, 3) of uint8. "
        f"Received: {type(image).__name__}"
    )


def read_file(path: str | os.PathLike) -> bytes:
    """The content of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # a NUL in the name
        raise InputError(f"{path!r}: cannot be read ({error})") from error
