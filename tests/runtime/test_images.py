import io

import cv2
import numpy as np
import pytest
from PIL import Image

from flpn_tf.errors import InputError
from flpn_tf.runtime.images import MIN_SIDE, check_image, read_image, read_intact_image


@pytest.fixture
def photo():
    rows, columns = np.mgrid[:40, :60]
    return np.stack([rows * 6, columns * 4, rows + columns], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp"])
def test_lossless_formats_read_as_rgb(tmp_path, photo, suffix):
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(photo).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    np.testing.assert_array_equal(read_image(path), photo)


def test_grey_alpha_and_16_bit_become_rgb_uint8(tmp_path, photo):
    grey = tmp_path / "grey.png"
    Image.fromarray(photo[..., 0]).save(grey)
    np.testing.assert_array_equal(read_image(grey), np.repeat(photo[..., :1], 3, axis=-1))
    alpha = tmp_path / "alpha.png"
    Image.fromarray(np.dstack([photo, np.full(photo.shape[:2], 128, np.uint8)])).save(alpha)
    np.testing.assert_array_equal(read_image(alpha), photo)
    deep = tmp_path / "deep.png"
    cv2.imwrite(str(deep), photo[..., 0].astype(np.uint16) * 257)
    assert np.abs(read_image(deep)[..., 0].astype(int) - photo[..., 0]).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_photo_upright(tmp_path, photo, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    Image.fromarray(photo).save(path, exif=exif, quality=95, subsampling=0)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    found = read_image(path)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 4


def damaged(photo, suffix):
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, suffix)
    return stream.getvalue()[: len(stream.getvalue()) // 2]


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "half png", "half jpeg", "one pixel"])
def test_what_is_no_photo_is_refused_by_name(tmp_path, photo, kind):
    path = tmp_path / "photo.png"
    if kind == "folder":
        path.mkdir()
    elif kind == "one pixel":
        Image.fromarray(photo[:1, :1]).save(path)
    elif kind != "missing":
        path.write_bytes(
            {"empty": b"", "text": b"not a photo"}.get(kind) or damaged(photo, kind.split()[-1])
            if kind != "empty"
            else b""
        )
    with pytest.raises(InputError, match="photo.png") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "image",
    [
        None,
        [[1, 2, 3]],
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 4), np.uint8),
        np.zeros((20, 20, 3), np.float32),
        np.zeros((0, 20, 3), np.uint8),
        np.zeros((MIN_SIDE - 1, 20, 3), np.uint8),
    ],
    ids=repr,
)
def test_arrays_that_are_no_photo_are_refused(image):
    with pytest.raises(InputError, match="Received: "):
        check_image(image)


def test_the_smallest_photo_is_accepted():
    image = np.zeros((MIN_SIDE, MIN_SIDE, 3), np.uint8)
    assert check_image(image) is image


def noise():
    return np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {}), ("TIFF", {"compression": "tiff_lzw"})], ids=["jpeg", "tiff"]
)
def test_damage_inside_a_file_is_refused(tmp_path, capfd, kind, options):
    path, stream = tmp_path / "photo", io.BytesIO()
    Image.fromarray(noise()).save(stream, kind, **options)
    content = bytearray(stream.getvalue())
    path.write_bytes(content)
    np.testing.assert_array_equal(read_intact_image(path), read_image(path))
    middle = len(content) // 2
    content[middle : middle + 200] = np.random.default_rng(1).bytes(200)
    path.write_bytes(content)
    capfd.readouterr()
    with pytest.raises(InputError, match="photo is damaged; the decoder says: .+") as caught:
        read_intact_image(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_padding_before_the_end_of_a_jpeg_is_no_damage(tmp_path):
    path, stream = tmp_path / "photo.jpg", io.BytesIO()
    Image.fromarray(noise()).save(stream, "JPEG")
    content = stream.getvalue()
    path.write_bytes(content[:-2] + bytes(20) + content[-2:])
    assert read_intact_image(path).shape == (120, 160, 3)
