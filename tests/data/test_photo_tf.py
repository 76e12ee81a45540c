"""The graph's decoder gives the pixels of the one that inference uses."""

import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from real_data import real_data

from flpn_tf.data import photo_tf
from flpn_tf.runtime.images import decode_image
from flpn_tf.runtime.photo_header import read_header

decode = tf.function(photo_tf.decode_upright, input_signature=[tf.TensorSpec((), tf.string)])
orientation = tf.function(photo_tf.orientation, input_signature=[tf.TensorSpec((), tf.string)])


@pytest.fixture(scope="module")
def photo():
    rows, columns = np.mgrid[:37, :52]
    waves = [127 + 100 * np.sin(rows / 6 + phase) * np.cos(columns / 9 - phase) for phase in (0, 1, 2)]
    return np.rint(np.stack(waves, axis=-1)).astype(np.uint8)


def saved(tmp_path, photo, name, tag=None, **options):
    exif = Image.Exif()
    if tag is not None:
        exif[0x0112] = tag
    path = tmp_path / name
    Image.fromarray(photo).save(path, exif=exif, **options)
    return path.read_bytes()


@pytest.mark.parametrize("tag", [None, *range(1, 9)])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png"])
def test_every_orientation(tmp_path, photo, name, tag):
    content = saved(tmp_path, photo, name, tag)
    assert orientation(content) == (tag or 1)
    np.testing.assert_array_equal(decode(content), decode_image(content, name))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"progressive": True}),
        ("a.jpg", {"subsampling": 0}),
        ("a.jpg", {"subsampling": 2, "quality": 40}),
        ("a.jpg", {"comment": b"no picture"}),
        ("a.jpg", {"icc_profile": b"x" * 3000}),
        ("a.png", {"optimize": True}),
    ],
)
def test_kinds_of_files(tmp_path, photo, name, options):
    content = saved(tmp_path, photo, name, 6, **options)
    np.testing.assert_array_equal(decode(content), decode_image(content, name))


@pytest.mark.parametrize(
    ("mode", "name"), [("L", "a.jpg"), ("L", "a.png"), ("RGBA", "a.png"), ("P", "a.png")]
)
def test_grey_alpha_and_palette(tmp_path, photo, mode, name):
    Image.fromarray(photo).convert(mode).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    np.testing.assert_array_equal(decode(content), decode_image(content, name))


def test_size_from_the_header(tmp_path, photo):
    for name in ("a.jpg", "a.png"):
        np.testing.assert_array_equal(photo_tf.photo_size(saved(tmp_path, photo, name, 6)), [37, 52])


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9])
def test_exif_of_a_wrong_length(tmp_path, photo, length):
    content = saved(tmp_path, photo, "a.jpg", 6)
    at = content.index(b"Exif") - 2
    content = content[:at] + length.to_bytes(2) + content[at + 2 :]
    assert orientation(content) == 1 == read_header(content).orientation


@pytest.mark.parametrize("before", [70_000, 300_000])
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_exif_behind_much_else(tmp_path, photo, name, before):
    content = saved(tmp_path, photo, name, 6)
    if name == "a.png":
        filler = b"tEXt" + bytes(before)
        at, chunk = 33, before.to_bytes(4) + filler + zlib.crc32(filler).to_bytes(4)
    else:
        at, chunk = 2, (b"\xff\xe2" + (60_002).to_bytes(2) + bytes(60_000)) * (before // 60_000)
    content = content[:at] + chunk + content[at:]
    assert orientation(content) == 6
    np.testing.assert_array_equal(decode(content), decode_image(content, name))


@pytest.mark.parametrize("number", range(1, 9))
def test_points_of_a_stored_photo(number):
    upright = np.arange(12).reshape(3, 4)
    quarters = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 1, 7: 3, 8: 3}[number]
    mirrored = number in (2, 4, 5, 7)
    stored = np.rot90(np.fliplr(upright) if mirrored else upright, quarters)
    y, x = np.mgrid[:3, :4].astype(np.float32)
    u, v = photo_tf.stored_points((x, y), tf.constant(number), np.float32(stored.shape))
    np.testing.assert_array_equal(stored[np.int32(v), np.int32(u)], upright)


def test_exif_is_read_as_the_python_header_reader_does(tmp_path, photo):
    whole = saved(tmp_path, photo, "a.jpg", 6)
    at = whole.index(b"Exif")

    @settings(deadline=None, max_examples=200)
    @given(st.integers(at - 8, at + 60), st.integers(0, 255))
    def check(place, value):
        content = whole[:place] + bytes([value]) + whole[place + 1 :]
        header = read_header(content)
        if header is not None:
            assert orientation(content) == header.orientation

    check()


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n"]))
def test_orientation_of_anything_is_one_to_eight(garbage, start):
    assert 1 <= orientation(start + garbage) <= 8


def test_real_photos_have_opencvs_pixels():
    paths = sorted((real_data("coco_train") / "images").iterdir())[::12]
    for path in paths:
        content = path.read_bytes()
        np.testing.assert_array_equal(decode(content), decode_image(content, path))


@pytest.mark.parametrize("damage", [b"", b"text", b"\xff\xd8\xff", b"\x89PNG"])
def test_what_is_no_photo_raises(damage):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(damage)


def test_too_many_pixels_are_refused_before_they_are_decoded():
    content = cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()
    huge = content[:16] + (10_000).to_bytes(4) * 2 + content[24:]
    with pytest.raises(tf.errors.InvalidArgumentError, match="64000000"):
        decode(huge)
