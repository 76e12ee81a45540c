import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import transform

from flpn_tf import geometry
from flpn_tf.errors import InputError

unhurried = settings(deadline=None)


def finite(low, high):
    return st.floats(low, high, allow_nan=False)


boxes = st.tuples(finite(-500, 3000), finite(-500, 3000), finite(1, 3000), finite(1, 3000))
sizes = st.tuples(st.integers(32, 512), st.integers(32, 512))
motions = st.fixed_dictionaries(
    {"rotation": finite(-180, 180), "scale": finite(0.5, 2), "flip": st.booleans(), "padding": finite(1, 2)}
)


@unhurried
@given(boxes, sizes, motions, st.lists(st.tuples(finite(0, 512), finite(0, 512)), min_size=1, max_size=8))
def test_crop_to_image_and_back_is_identity(box, size, motion, points):
    affine = geometry.crop_affine(box, *size, **motion)
    points = np.array(points)
    there = geometry.transform_points(points, geometry.invert_affine(affine))
    np.testing.assert_allclose(geometry.transform_points(there, affine), points, atol=1e-3)


@unhurried
@given(boxes, sizes, motions)
def test_affine_equals_scikit_image_transforms(box, size, motion):
    """Centre to origin, magnify, rotate, to the crop's centre, mirror: written with another library."""
    (x, y, w, h), (height, width) = box, size
    shown = max(w, h * width / height) * motion["padding"] * motion["scale"]
    expected = (
        transform.AffineTransform(translation=(-x - w / 2, -y - h / 2)).params.T
        @ transform.AffineTransform(scale=width / shown, rotation=-np.deg2rad(motion["rotation"])).params.T
        @ transform.AffineTransform(translation=(width / 2, height / 2)).params.T
    ).T
    if motion["flip"]:
        expected = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ expected
    affine = geometry.crop_affine(box, height, width, **motion)
    np.testing.assert_allclose(affine, expected[:2], rtol=1e-9, atol=1e-6)


@unhurried
@given(boxes, sizes)
def test_the_whole_box_is_in_the_crop_and_the_aspect_is_kept(box, size):
    x, y, w, h = box
    height, width = size
    affine = geometry.crop_affine(box, height, width)
    corners = geometry.transform_points([(x, y), (x + w, y + h)], affine)
    np.testing.assert_allclose(corners.mean(axis=0), (width / 2, height / 2), atol=1e-6)
    spans = (corners[1] - corners[0]) / (width, height)
    assert spans.max() == pytest.approx(1 / 1.25)
    assert affine[0, 0] == pytest.approx(affine[1, 1])


@unhurried
@given(boxes, sizes, motions, finite(0, 512), finite(0, 512))
def test_flip_twice_is_identity(box, size, motion, u, v):
    width = size[1]
    plain = geometry.crop_affine(box, *size, **motion | {"flip": False})
    flipped = geometry.crop_affine(box, *size, **motion | {"flip": True})
    point = geometry.transform_points([u, v], geometry.invert_affine(plain))
    once = geometry.transform_points(point, flipped)
    np.testing.assert_allclose(once, [width - 1 - u, v], atol=1e-6)
    mirror = np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(geometry.compose(mirror, flipped), plain, atol=1e-9)


def test_positive_rotation_turns_the_picture_counter_clockwise():
    affine = geometry.crop_affine([0, 0, 100, 100], 100, 100, padding=1.0, rotation=90)
    right_of_centre = geometry.transform_points([80, 50], affine)
    np.testing.assert_allclose(right_of_centre, [50, 20], atol=1e-9)


def bilinear(image, affine, height, width):
    """Float64 reference: value at each crop pixel's source point, 0 outside, not rounded."""
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    x, y = np.moveaxis(geometry.transform_points(np.stack([u, v], -1), geometry.invert_affine(affine)), -1, 0)
    padded = np.pad(image.astype(np.float64), ((1, 2), (1, 2), (0, 0)))
    x = np.clip(x, -1, image.shape[1])
    y = np.clip(y, -1, image.shape[0])
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    upper = padded[top + 1, left + 1] * (1 - fx) + padded[top + 1, left + 2] * fx
    lower = padded[top + 2, left + 1] * (1 - fx) + padded[top + 2, left + 2] * fx
    return upper * (1 - fy) + lower * fy


@pytest.mark.parametrize("rotation", [0.0, 17.0, -140.0])
@pytest.mark.parametrize("box", [[50, 30, 200, 180], [-40, -60, 150, 300], [300.3, 200.7, 25, 60]])
def test_warp_is_bilinear_to_the_grey_level(box, rotation):
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    affine = geometry.crop_affine(box, 128, 96, rotation=rotation)
    crop = geometry.warp(image, affine, 128, 96)
    assert crop.shape == (128, 96, 3)
    assert crop.dtype == np.uint8
    difference = np.abs(crop - np.rint(bilinear(image, affine, 128, 96)))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_warp_by_whole_pixels_copies_and_fills_with_zero():
    image = np.random.default_rng(1).integers(1, 256, (20, 30, 3), dtype=np.uint8)
    crop = geometry.warp(image, np.array([[1.0, 0.0, 3.0], [0.0, 1.0, 5.0]]), 40, 40)
    np.testing.assert_array_equal(crop[5:25, 3:33], image)
    assert crop.sum() == image.sum()


@pytest.mark.parametrize(
    "box", [[0, 0, 0, 5], [0, 0, 5, -1], [np.nan, 0, 5, 5], [0, 0, np.inf, 5], [0, 0, 5], [[0, 0, 5, 5]]]
)
def test_a_bad_box_is_refused(box):
    with pytest.raises(InputError, match=r"Received: box="):
        geometry.crop_affine(box, 64, 48)


def test_box_around_keypoints_ignores_the_unsure_ones():
    keypoints = np.array([[10, 20, 0.9], [30, 60, 0.5], [500, 500, 0.1]])
    np.testing.assert_allclose(geometry.keypoints_to_box(keypoints, 0.2), [10, 20, 20, 40])
    np.testing.assert_allclose(geometry.keypoints_to_box(keypoints, 0.2, margin=0.1), [6, 16, 28, 48])
    assert geometry.keypoints_to_box(keypoints, 0.6) is None


def test_box_around_a_vertical_line_has_a_width():
    box = geometry.keypoints_to_box(np.array([[10, 20, 1.0], [10, 60, 1.0]]), 0.2)
    np.testing.assert_allclose(box, [9.5, 20, 1, 40])
