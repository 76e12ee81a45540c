import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from flpn_tf.errors import InputError
from flpn_tf.runtime.photo_header import MAX_PIXELS, PhotoHeader, check_pixels, header_of, read_header

WIDTH, HEIGHT = 50, 30
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
ORDERS = {"little": (b"II*\0", "<"), "big": (b"MM\0*", ">")}


def saved(kind, **options):
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, kind, **options)
    return stream.getvalue()


JPEG, PNG = saved("JPEG"), saved("PNG")


def tiff(order, orientation, kind=3, offset=8, tag=0x0112):
    """An EXIF block whose second entry is the orientation."""
    start, sign = ORDERS[order]
    entries = struct.pack(f"{sign}HHII", 0x0100, 4, 1, WIDTH) + struct.pack(
        f"{sign}HHIHH", tag, kind, 1, orientation, 0
    )
    return start + struct.pack(f"{sign}I", offset) + bytes(offset - 8) + struct.pack(f"{sign}H", 2) + entries


def segment(marker, payload):
    return bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload


def exif(block):
    return segment(0xE1, b"Exif\0\0" + block)


def chunk(name, payload):
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def jpeg_with(*segments, before=None):
    """JPEG with segments behind the start of the image, or before the first of a marker."""
    place = 2 if before is None else JPEG.index(bytes([0xFF, before]))
    return JPEG[:place] + b"".join(segments) + JPEG[place:]


def png_with(*chunks, before=b"IDAT"):
    place = PNG.index(before) - 4
    return PNG[:place] + b"".join(chunks) + PNG[place:]


def upright_size(content):
    height, width = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB).shape[:2]
    return width, height


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_read_as_opencv_applies_it(order, orientation):
    block = tiff(order, orientation)
    for kind, content in (("jpeg", jpeg_with(exif(block))), ("png", png_with(chunk(b"eXIf", block)))):
        header = read_header(content)
        assert header == PhotoHeader(kind, WIDTH, HEIGHT, orientation)
        assert header.upright_size == upright_size(content)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_files_of_pillow(kind, orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    assert read_header(saved(kind, exif=block)) == (kind.lower(), WIDTH, HEIGHT, orientation)


WRITTEN = {
    "progressive": saved("JPEG", progressive=True),
    "grey jpeg": cv2.imencode(".jpg", PIXELS[..., 0])[1].tobytes(),
    "jpeg of OpenCV": cv2.imencode(".jpg", PIXELS)[1].tobytes(),
    "png of OpenCV": cv2.imencode(".png", PIXELS)[1].tobytes(),
    "16-bit png": cv2.imencode(".png", PIXELS.astype(np.uint16) * 257)[1].tobytes(),
    "with a colour profile": saved("JPEG", icc_profile=bytes(60_000)),
}


@pytest.mark.parametrize("content", WRITTEN.values(), ids=WRITTEN)
def test_files_without_orientation(content):
    assert read_header(content)[1:] == (WIDTH, HEIGHT, 1)


SIX, ONE = tiff("big", 6), tiff("little", 1)
XMP = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
PLACES = {
    "behind JFIF": (JPEG[:20] + exif(SIX) + JPEG[20:], 6),
    "behind XMP, ICC and a comment": (
        jpeg_with(XMP, segment(0xE2, b"ICC"), segment(0xFE, b"x"), exif(SIX)),
        6,
    ),
    "behind fill bytes": (jpeg_with(b"\xff\xff\xff" + exif(SIX)), 6),
    "the first of two": (jpeg_with(exif(ONE), exif(SIX)), 1),
    "a directory further on": (jpeg_with(exif(tiff("big", 6, offset=40))), 6),
    "before the tables": (jpeg_with(exif(SIX), before=0xDB), 6),
    "behind another segment": (jpeg_with(segment(0xDB, bytes(65)), exif(SIX)), 1),
    "not Exif": (jpeg_with(segment(0xE1, b"Exif\0x" + SIX)), 1),
    "of value 0": (jpeg_with(exif(tiff("big", 0))), 1),
    "of value 9": (jpeg_with(exif(tiff("little", 9))), 1),
    "no 16-bit number": (jpeg_with(exif(tiff("little", 6, kind=4))), 1),
    "another tag": (jpeg_with(exif(tiff("little", 6, tag=0x0113))), 1),
    "another magic number": (jpeg_with(exif(SIX.replace(b"MM\0*", b"MM\0+"))), 1),
    "cut short": (jpeg_with(exif(SIX[:-6])), 1),
    "an offset beyond the end": (jpeg_with(exif(SIX[:4] + b"\xff" * 4 + SIX[8:])), 1),
    "empty": (jpeg_with(exif(b"")), 1),
    "png, behind the pixels": (png_with(chunk(b"eXIf", SIX), before=b"IEND"), 1),
    "png, behind a text": (png_with(chunk(b"tEXt", b"a\0b"), chunk(b"eXIf", SIX)), 6),
    "png, a wrong checksum": (png_with(chunk(b"eXIf", SIX)[:-1] + b"?"), 1),
    "png, damaged": (png_with(chunk(b"eXIf", b"MM")), 1),
}


@pytest.mark.parametrize(("content", "orientation"), PLACES.values(), ids=PLACES)
def test_where_the_orientation_stands(content, orientation):
    assert read_header(content)[1:] == (WIDTH, HEIGHT, orientation)


NO_HEADER = {
    "empty": b"",
    "text": b"not a photo",
    "webp": saved("WEBP"),
    "tiff": saved("TIFF"),
    "bmp": saved("BMP"),
    "gif": saved("GIF"),
    "the start of a jpeg": JPEG[:3],
    "a jpeg cut before its size": JPEG[: JPEG.index(b"\xff\xc0") + 6],
    "a jpeg without a frame": b"\xff\xd8\xff\xda" + bytes(50),
    "a jpeg that ends": b"\xff\xd8\xff\xd9" + JPEG,
    "a jpeg of height 0": b"\xff\xd8" + segment(0xC0, b"\x08\0\0\0\x20" + bytes(10)),
    "the start of a png": PNG[:8],
    "a png cut inside its size": PNG[:20],
    "a png that starts otherwise": PNG[:8] + chunk(b"gAMA", bytes(4)) + PNG[8:],
    "a png of width 0": PNG[:8] + chunk(b"IHDR", bytes(13)),
}


@pytest.mark.parametrize("content", NO_HEADER.values(), ids=NO_HEADER)
def test_other_formats_and_cut_headers(content):
    assert read_header(content) is None


@given(
    st.sampled_from([b"", b"\xff\xd8\xff", jpeg_with(exif(SIX))[:60], PNG[:8], PNG[:33]]),
    st.binary(max_size=200)
    | st.lists(st.sampled_from([b"\xff", b"\xe1", b"\xc0", b"\0", b"eXIf"])).map(b"".join),
)
@example(b"\xff\xd8\xff", b"\xff" * 1000)
@example(b"\xff\xd8\xff", b"\xd0\xff" * 1000)
def test_no_bytes_raise(start, rest):
    header = read_header(start + rest)
    assert header is None or (header.width > 0 and header.height > 0 and 1 <= header.orientation <= 8)


@given(st.binary(max_size=80))
def test_no_exif_raises(block):
    for start in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        assert 1 <= read_header(jpeg_with(exif(start + block))).orientation <= 8
        assert 1 <= read_header(png_with(chunk(b"eXIf", start + block))).orientation <= 8


@given(st.integers(0, len(JPEG)), st.integers(0, len(PNG)))
def test_the_first_bytes_suffice(jpeg_end, png_end):
    """A file cut anywhere gives no header or the whole file's."""
    for content, end in ((JPEG, jpeg_end), (PNG, png_end)):
        assert read_header(content[:end]) in (None, read_header(content))


def test_header_of_a_file(tmp_path):
    path = tmp_path / "photo"
    path.write_bytes(JPEG)
    assert header_of(path) == ("jpeg", WIDTH, HEIGHT, 1)
    path.write_bytes(jpeg_with(exif(SIX), *[segment(0xE2, bytes(65_000))] * 5))  # the size stands late
    assert header_of(path) == ("jpeg", WIDTH, HEIGHT, 6)
    with pytest.raises(InputError, match="Cannot read the image .*: No such file"):
        header_of(tmp_path / "missing")


def test_too_many_pixels():
    check_pixels(8000, MAX_PIXELS // 8000, "photo.png")
    with pytest.raises(InputError) as caught:
        check_pixels(10_000, 10_000, "photo.png")
    assert str(caught.value) == (
        "The image photo.png has 100.0 megapixels; shrink it, and its labels, to at most 64. "
        "Received: 10000x10000"
    )
