"""The TensorFlow twins give what the numpy originals give."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from flpn_tf import geometry
from flpn_tf.data import geometry_tf
from flpn_tf.data.augment_tf import Motion

unhurried = settings(deadline=None)

boxes = st.tuples(st.floats(-50, 600), st.floats(-50, 600), st.floats(8, 600), st.floats(8, 600))
sizes = st.tuples(st.integers(32, 256), st.integers(32, 256))
motions = st.fixed_dictionaries(
    {
        "rotation": st.floats(-180, 180),
        "scale": st.floats(0.5, 1.5),
        "flip": st.booleans(),
        "padding": st.floats(1, 2),
    }
)


def both(box, size, motion):
    """The original's affine, and the twin's as (2, 3) float32."""
    parameters = Motion(
        *(np.array([motion[key]], np.float32) for key in ("rotation", "scale")),
        np.array([motion["flip"]]),
        np.zeros((1, 2), np.float32),
    )
    twin = geometry_tf.crop_affine(np.array([box], np.float32), *size, motion["padding"], parameters)
    return geometry.crop_affine(box, *size, **motion), twin.numpy()[0]


@unhurried
@given(boxes, sizes, motions, st.lists(st.tuples(st.floats(-100, 700), st.floats(-100, 700)), min_size=1))
def test_affine_and_points(box, size, motion, points):
    affine, twin = both(box, size, motion)
    expected = geometry.transform_points(points, affine)
    # A hundredth of a crop pixel: what float32 leaves of coordinates around 1,000, magnified up to 30 times.
    moved = geometry_tf.transform_points(np.array([points], np.float32), twin[np.newaxis])[0]
    np.testing.assert_allclose(moved, expected, atol=0.01)


@unhurried
@given(boxes, sizes, motions)
def test_inverse(box, size, motion):
    affine, _ = both(box, size, motion)
    inverse = geometry_tf.invert_affine(affine.astype(np.float32)).numpy()
    corners = [(0, 0), (size[1], 0), (0, size[0]), (size[1], size[0])]
    expected = geometry.transform_points(corners, geometry.invert_affine(affine))
    np.testing.assert_allclose(geometry.transform_points(corners, inverse), expected, atol=0.01)


@pytest.mark.parametrize("compiled", [False, True])
def test_affines_of_a_batch_in_a_graph(compiled):
    """TensorFlow's graph optimiser has turned max(w, h · aspect) into another function (decisions.md)."""
    people = np.array([[10, 20, 30, 90], [500, 300, 200, 50], [1, 2, 30, 40]], np.float32)
    in_graph = tf.function(lambda boxes: geometry_tf.crop_affine(boxes, 128, 96, 1.25), jit_compile=compiled)
    expected = [geometry.crop_affine(box, 128, 96) for box in people]
    np.testing.assert_allclose(in_graph(people), expected, rtol=1e-5, atol=1e-4)


def test_translation_moves_the_box_by_fractions_of_its_sides():
    motion = Motion(
        np.zeros(1, np.float32), np.ones(1, np.float32), np.array([False]), np.array([[0.1, -0.2]])
    )
    twin = geometry_tf.crop_affine(np.array([[10, 20, 60, 40]], np.float32), 128, 96, 1.25, motion)
    expected = geometry.crop_affine([10 + 6, 20 - 0.2 * 80, 60, 40], 128, 96)
    np.testing.assert_allclose(twin[0], expected, rtol=1e-5)


def smooth_noise(height, width):
    """Neighbours differ by at most a few levels, as in a photo; noise alone would amplify float32's error."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 9 + phase) + np.cos(columns / 7 - phase) for phase in (0, 1, 2)]
    return np.rint(127.5 + 60 * np.stack(waves, axis=-1)).clip(0, 255).astype(np.uint8)


def one_by_one(image, affine, height, width):
    return geometry_tf.warp(image, affine, height, width).numpy()


def packed(image, affine, height, width):
    """The third of three photos that lie behind each other, the others of other sizes."""
    photos = [np.full((5, 9, 3), 200, np.uint8), np.full((7, 3, 3), 90, np.uint8), image, image[:2]]
    counts = [photo.shape[0] * photo.shape[1] for photo in photos]
    run = tf.function(geometry_tf.warp_packed, jit_compile=True)
    crops = run(
        np.concatenate([photo.reshape(-1, 3) for photo in photos]),
        np.cumsum([0, *counts[:-1]]).astype(np.int32),
        np.array([photo.shape[:2] for photo in photos], np.int32),
        np.stack([affine.astype(np.float32)] * len(photos)),
        height,
        width,
    )
    return crops.numpy()[2]


both_warps = pytest.mark.parametrize("warp", [one_by_one, packed])


@both_warps
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 23.0, -160.0])
@pytest.mark.parametrize("box", [[50, 30, 200, 180], [-40, -60, 150, 300], [300.3, 200.7, 25, 60]])
def test_warp_to_the_grey_level(warp, box, rotation, flip):
    image = smooth_noise(300, 400)
    affine = geometry.crop_affine(box, 96, 72, rotation=rotation, flip=flip)
    expected = geometry.warp(image, affine, 96, 72)
    crop = warp(image, affine.astype(np.float32), 96, 72)
    assert (crop.shape, crop.dtype) == (expected.shape, np.uint8)
    difference = np.abs(crop.astype(int) - expected)
    # One level where the two sums stand on different sides of a half; unrotated crops have the most ties.
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.03
    assert crop.std() > 10


@both_warps
def test_warp_by_whole_pixels_is_exact_and_the_outside_is_zero(warp):
    image = np.random.default_rng(1).integers(1, 256, (20, 30, 3), dtype=np.uint8)
    crop = warp(image, np.array([[1, 0, 3], [0, 1, 5]], np.float32), 40, 40)
    np.testing.assert_array_equal(crop[5:25, 3:33], image)
    assert crop.sum(dtype=int) == image.sum(dtype=int)
