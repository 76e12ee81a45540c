"""What the first bytes of a photo say, without decoding it. Needs no TensorFlow."""

import re
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from flpn_tf.errors import InputError

# 8000×8000: decoded, 192 MB. A few bytes can claim more than any memory holds.
MAX_PIXELS = 64_000_000
# Enough for the metadata of nearly every camera; a file whose header is longer is read whole.
_FIRST_BYTES = 1 << 18
_ORIENTATION_TAG, _SHORT = 0x0112, 3
_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\0\0"
# As libjpeg does, any bytes between two segments are passed over.
_MARKER = re.compile(rb"\xff([^\0\xff])")
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0–SOF15; the three are tables
_NO_LENGTH = {0x01, *range(0xD0, 0xD8)}  # TEM, RST0–RST7
_ENDS = {0xD9, 0xDA}  # end of image, start of scan: no frame header follows


class PhotoHeader(NamedTuple):
    """A photo's stated form.

    Attributes:
        format: "jpeg" or "png".
        width, height: pixels as stored, before the turn.
        orientation: EXIF's, 1 (upright) to 8; 5 to 8 exchange the sides.
    """

    format: str
    width: int
    height: int
    orientation: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) after the turn, as `flpn_tf.runtime.images.read_image` gives the photo."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_header(content: bytes) -> PhotoHeader | None:
    """The header of a JPEG or PNG, from its first bytes; nothing is decoded.

    The orientation is read where the standards put it: in a JPEG's first Exif segment, which only other APPn
    and comments may precede, or a PNG's eXIf chunk before the pixels. One that is damaged counts as 1.

    Returns:
        None: another format, or the size does not stand in these bytes.
    """
    try:
        if content[:3] == b"\xff\xd8\xff":
            return _jpeg(content)
        if content[:8] == _PNG:
            return _png(content)
    except struct.error:  # the bytes end too early
        pass
    return None


def header_of(path: str | Path) -> PhotoHeader | None:
    """`read_header` of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_FIRST_BYTES)
            header = read_header(content)
            if header is None and content[:3] == b"\xff\xd8\xff":
                header = read_header(content + file.read())
    except OSError as error:
        raise InputError(f"Cannot read the image {path}: {error.strerror}") from error
    return header


def check_pixels(width: int, height: int, source: str | Path) -> None:
    """Refuses a photo of more than `MAX_PIXELS`.

    Raises:
        InputError: naming `source`, the size and what to do.
    """
    if width * height > MAX_PIXELS:
        raise InputError(
            f"The image {source} has {width * height / 1e6:.1f} megapixels; "
            f"shrink it, and its labels, to at most {MAX_PIXELS // 10**6}. Received: {width}x{height}"
        )


def _jpeg(content: bytes) -> PhotoHeader | None:
    position, orientation, in_place = 2, None, True
    while (found := _MARKER.search(content, position)) is not None:
        marker, position = found[1][0], found.end()
        if marker in _NO_LENGTH:
            continue
        if marker in _ENDS:
            break
        (length,) = struct.unpack_from(">H", content, position)
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 3)
            return _checked("jpeg", width, height, orientation)
        payload = content[position + 2 : position + length]
        in_place &= 0xE0 <= marker <= 0xEF or marker == 0xFE
        if in_place and orientation is None and marker == 0xE1 and payload.startswith(_EXIF):
            orientation = _orientation(payload[len(_EXIF) :])
        position += max(length, 2)
    return None


def _png(content: bytes) -> PhotoHeader | None:
    if content[8:16] != b"\0\0\0\x0dIHDR":
        return None
    width, height = struct.unpack_from(">II", content, 16)
    position, orientation = 8, None
    while orientation is None and content[position + 4 : position + 8] not in (b"", b"IDAT"):
        (length,) = struct.unpack_from(">I", content, position)
        end = position + 8 + length
        chunk = content[position + 4 : end]
        if chunk[:4] == b"eXIf":
            # Decoders pass over a chunk whose checksum is wrong.
            intact = content[end : end + 4] == zlib.crc32(chunk).to_bytes(4, "big")
            orientation = _orientation(chunk[4:]) if intact else 1
        position = end + 4
    return _checked("png", width, height, orientation)


def _checked(kind: str, width: int, height: int, orientation: int | None) -> PhotoHeader | None:
    return PhotoHeader(kind, width, height, orientation or 1) if width and height else None


def _orientation(tiff: bytes) -> int:
    """1–8 of a TIFF structure; 1 where it is damaged or does not say."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for start in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIHxx", tiff, start)
            if tag == _ORIENTATION_TAG and kind == _SHORT:
                return value if 1 <= value <= 8 else 1
    except struct.error:  # an offset beyond the end
        pass
    return 1
