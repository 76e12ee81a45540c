"""The batched twins give what the originals give, with arrays of every library."""

import jax
import numpy as np
import pytest
import tensorflow as tf
from array_libraries import every_library
from hypothesis import given, settings
from hypothesis import strategies as st

from flpn_tf import geometry
from flpn_tf.data import geometry_batch, photo_tf
from flpn_tf.data.augment_batch import Motion

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


def both(array, box, size, motion):
    """The original's affine, and the twin's (1, 2, 3)."""
    parameters = Motion(
        *(array(np.array([motion[key]], np.float32)) for key in ("rotation", "scale")),
        array(np.array([motion["flip"]])),
        array(np.zeros((1, 2), np.float32)),
    )
    boxes = array(np.array([box], np.float32))
    twin = geometry_batch.crop_affine(boxes, *size, motion["padding"], parameters)
    assert type(twin) is type(boxes)
    assert twin.dtype == np.float32
    return geometry.crop_affine(box, *size, **motion), twin


@every_library
@unhurried
@given(boxes, sizes, motions, st.lists(st.tuples(st.floats(-100, 700), st.floats(-100, 700)), min_size=1))
def test_affine_and_points(array, box, size, motion, points):
    affine, twin = both(array, box, size, motion)
    expected = geometry.transform_points(points, affine)
    # A hundredth of a crop pixel: what float32 leaves of coordinates around 1,000, magnified up to 30 times.
    moved = geometry_batch.transform_points(array(np.array([points], np.float32)), twin)
    assert moved.dtype == np.float32
    np.testing.assert_allclose(moved[0], expected, atol=0.01)


@every_library
@unhurried
@given(boxes, sizes, motions)
def test_inverse(array, box, size, motion):
    affine, _ = both(array, box, size, motion)
    inverse = np.asarray(geometry_batch.invert_affine(array(affine.astype(np.float32))))
    corners = [(0, 0), (size[1], 0), (0, size[0]), (size[1], size[0])]
    expected = geometry.transform_points(corners, geometry.invert_affine(affine))
    np.testing.assert_allclose(geometry.transform_points(corners, inverse), expected, atol=0.01)


def crop_affines(people):
    return geometry_batch.crop_affine(people, 128, 96, 1.25)


@pytest.mark.parametrize(
    "in_graph",
    [tf.function(crop_affines), tf.function(crop_affines, jit_compile=True), jax.jit(crop_affines)],
    ids=["tensorflow", "tensorflow in XLA", "jax"],
)
def test_affines_of_a_batch_in_a_graph(in_graph):
    """TensorFlow's graph optimiser has turned max(w, h · aspect) into another function (decisions.md)."""
    people = np.array([[10, 20, 30, 90], [500, 300, 200, 50], [1, 2, 30, 40]], np.float32)
    expected = [geometry.crop_affine(box, 128, 96) for box in people]
    np.testing.assert_allclose(in_graph(people), expected, rtol=1e-5, atol=1e-4)


def test_what_is_no_array_is_refused():
    with pytest.raises(TypeError, match="numpy, JAX or TensorFlow is needed. Received: <class 'list'>"):
        geometry_batch.crop_affine([[10, 20, 60, 40]], 128, 96, 1.25)


@every_library
def test_translation_moves_the_box_by_fractions_of_its_sides(array):
    values = np.zeros(1), np.ones(1), np.array([[0.1, -0.2]])
    rotation, scale, translation = (array(value.astype(np.float32)) for value in values)
    motion = Motion(rotation, scale, array(np.array([False])), translation)
    twin = geometry_batch.crop_affine(array(np.array([[10, 20, 60, 40]], np.float32)), 128, 96, 1.25, motion)
    expected = geometry.crop_affine([10 + 6, 20 - 0.2 * 80, 60, 40], 128, 96)
    np.testing.assert_allclose(twin[0], expected, rtol=1e-5)


@every_library
@unhurried
@given(boxes, sizes, motions)
def test_the_shown_rectangle_holds_every_pixel_that_the_crop_needs(array, box, size, motion):
    affine, twin = both(array, box, size, motion)
    (first, last) = np.asarray(geometry_batch.shown_rectangle(twin, *size)[0])
    # The centres of the outermost crop pixels; bilinear sampling takes the neighbours on both sides.
    corners = [(x, y) for x in (0, size[1] - 1) for y in (0, size[0] - 1)]
    needed = geometry.transform_points(corners, geometry.invert_affine(affine))
    assert (first <= np.floor(needed.min(axis=0))).all()
    assert (last >= np.floor(needed.max(axis=0)) + 2).all()
    np.testing.assert_array_equal(first, np.rint(first))
    assert (last - first < np.ptp(needed, axis=0) * 1.3 + 12).all()


@pytest.mark.parametrize("array", [np.asarray, tf.constant], ids=["numpy", "tensorflow"])
@pytest.mark.parametrize(
    ("rectangle", "part"),
    [
        ([[3, 5], [20, 9]], np.s_[5:9, 3:20]),
        ([[-7, -1], [4, 90]], np.s_[0:30, 0:4]),
        ([[60, 10], [70, 40]], np.s_[10:30, 39:40]),
        ([[-9, -9], [-2, -2]], np.s_[0:1, 0:1]),
    ],
)
def test_cutting_a_photo_moves_its_points_with_it(array, rectangle, part):
    photo = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    affine = geometry.crop_affine([5, 6, 20, 10], 24, 18, rotation=25).astype(np.float32)
    found, moved = geometry_batch.cut(array(photo), array(affine), array(np.array(rectangle, np.float32)))
    np.testing.assert_array_equal(found, photo[part])
    start = np.array([part[1].start, part[0].start])
    found = geometry.transform_points([(12, 8)] - start, np.asarray(moved))
    np.testing.assert_allclose(found, geometry.transform_points([(12, 8)], affine), rtol=1e-5)


def smooth_noise(height, width):
    """Neighbours differ by at most a few levels, as in a photo; noise alone would amplify float32's error."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 9 + phase) + np.cos(columns / 7 - phase) for phase in (0, 1, 2)]
    return np.rint(127.5 + 60 * np.stack(waves, axis=-1)).clip(0, 255).astype(np.uint8)


def one_by_one(image, affine, height, width):
    return photo_tf.warp(image, tf.constant(affine), height, width).numpy()


def packed(compiled):
    """The third of four photos that lie behind each other, the others of other sizes."""

    def warp(image, affine, height, width):
        photos = [np.full((5, 9, 3), 200, np.uint8), np.full((7, 3, 3), 90, np.uint8), image, image[:2]]
        counts = [photo.shape[0] * photo.shape[1] for photo in photos]
        points = compiled(lambda affines: geometry_batch.crop_points(affines, height, width))(
            np.stack([affine.astype(np.float32)] * len(photos))
        )
        crops = compiled(geometry_batch.warp_packed)(
            np.concatenate([photo.reshape(-1, 3) for photo in photos]),
            np.cumsum([0, *counts[:-1]]).astype(np.int32),
            np.array([photo.shape[:2] for photo in photos], np.int32),
            points,
        )
        return np.asarray(crops)[2]

    return warp


WARPS = {
    "one by one": one_by_one,
    "packed, numpy": packed(lambda warp: warp),
    "packed, jax": packed(jax.jit),
    "packed, tensorflow": packed(lambda warp: tf.function(warp, jit_compile=True)),
}
every_warp = pytest.mark.parametrize("warp", WARPS.values(), ids=WARPS)


@every_warp
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


@every_warp
def test_warp_by_whole_pixels_is_exact_and_the_outside_is_zero(warp):
    image = np.random.default_rng(1).integers(1, 256, (20, 30, 3), dtype=np.uint8)
    crop = warp(image, np.array([[1, 0, 3], [0, 1, 5]], np.float32), 40, 40)
    np.testing.assert_array_equal(crop[5:25, 3:33], image)
    assert crop.sum(dtype=int) == image.sum(dtype=int)
