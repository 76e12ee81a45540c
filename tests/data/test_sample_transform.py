"""Both sources' whole per-sample transform is the numpy reference's; geometry and encoding commute."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import sample_reference
import synthetic_people
import tensorflow as tf
from array_libraries import every_library
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import real_data

from flpn_tf import geometry
from flpn_tf.codec import HeatmapCodec, flip_heatmaps
from flpn_tf.data import augment_batch, codec_batch, device_samples, geometry_batch, pipeline
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.records import PersonRecord
from flpn_tf.data.sources import read_people
from flpn_tf.runtime.images import read_image
from flpn_tf.skeleton import COCO_17

SIZE = (128, 96)
CODEC = HeatmapCodec(32, 24)
EVERYTHING = Augmentation(
    rotation=40,
    scale=0.3,
    translation=0.1,
    half_body=0.5,
    brightness=0.3,
    contrast=0.3,
    saturation=0.5,
    hue=20,
)
AUGMENTATIONS = {"none": None, "paper": Augmentation(), "everything": EVERYTHING}
every_augmentation = pytest.mark.parametrize("augmentation", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
SOURCES = {
    "tf.data": (pipeline.training_dataset, pipeline.uniforms),
    "jax": (device_samples.device_batches, device_samples.uniforms),
}
every_source = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)


def compare(source, people, augmentation, steps, batch_size):
    """Asserts the issue's bounds on the first batches; the people are taken in the data set's order."""
    make, uniforms = source
    batches = make(people, CODEC, SIZE, batch_size, seed=3, augmentation=augmentation, shuffle=False)
    for step, batch in enumerate(itertools.islice(batches, steps)):
        crops, heatmaps, weights = (np.asarray(part) for part in batch)
        numbers = np.asarray(uniforms(3, step, batch_size))
        for place in range(batch_size):
            record = people.records[(step * batch_size + place) % len(people)]
            crop, points, maps, weight = sample_reference.transform(
                read_image(record.image), record, CODEC, SIZE, augmentation, numbers[place]
            )
            np.testing.assert_array_equal(weights[place], weight)
            np.testing.assert_allclose(heatmaps[place], maps, atol=1e-4)
            decoded = CODEC.decode(heatmaps[place])[weight > 0, :2]
            expected = CODEC.decode(maps)[weight > 0, :2]
            np.testing.assert_allclose(decoded, expected, atol=0.01)
            difference = np.abs(crops[place].astype(int) - crop)
            # Far within 2/255: only values that lie on a half may round to the other side.
            assert difference.mean() < 0.05
            assert difference.max() <= 1


@every_source
@every_augmentation
def test_drawn_people(tmp_path, augmentation, source):
    folder = synthetic_people.write(tmp_path, synthetic_people.document(people=6))
    compare(source, read_people(folder), augmentation, steps=4, batch_size=4)


@every_source
@every_augmentation
def test_real_photos(augmentation, source):
    compare(source, read_people(real_data("coco_train")), augmentation, steps=4, batch_size=16)


def uniform_numbers(count, seed=0):
    return np.random.default_rng(seed).random((count, augment_batch.DRAWS), np.float32)


def some_people(count, seed=0):
    """(count, 4) boxes and (count, 17, 3) keypoints inside them, some unlabelled."""
    rng = np.random.default_rng(seed)
    boxes = np.column_stack([rng.uniform(0, 200, (count, 2)), rng.uniform(40, 300, (count, 2))])
    points = boxes[:, None, :2] + boxes[:, None, 2:] * rng.uniform(0, 1, (count, 17, 2))
    visible = rng.choice([0, 1, 2], (count, 17, 1), p=[0.3, 0.2, 0.5])
    return boxes, np.concatenate([points, visible], axis=2)


@every_library
def test_points_to_a_hundredth_of_a_pixel(array):
    boxes, keypoints = some_people(200)
    numbers = uniform_numbers(200)
    in_array = [array(values.astype(np.float32)) for values in (numbers, boxes, keypoints)]
    motion = augment_batch.draw_motion(EVERYTHING, in_array[0])
    halved = augment_batch.half_bodies(EVERYTHING, *in_array, COCO_17, 1.25)
    affines = geometry_batch.crop_affine(halved, *SIZE, 1.25, motion)
    moved = np.asarray(geometry_batch.transform_points(in_array[2][..., :2], affines))
    flips, halved = np.asarray(motion.flip), np.asarray(halved)
    cut = 0
    for i in range(200):
        record = PersonRecord(Path(), 0, 0, boxes[i], 1.0, keypoints[i].astype(np.float32), COCO_17)
        image = np.zeros((8, 8, 3), np.uint8)
        _, points, _, _ = sample_reference.transform(image, record, CODEC, SIZE, EVERYTHING, numbers[i])
        twin = moved[i][COCO_17.flip_permutation] if flips[i] else moved[i]
        np.testing.assert_allclose(twin, points, atol=0.01)
        cut += not np.allclose(halved[i], boxes[i], atol=0.01)
    assert 50 < cut < 130  # about half of those with more than 8 labelled joints


@every_library
def test_half_bodies_show_one_half_and_leave_sparse_people_alone(array):
    boxes, keypoints = some_people(300, seed=1)
    arrays = [array(values.astype(np.float32)) for values in (uniform_numbers(300, seed=1), boxes, keypoints)]
    halved = np.asarray(augment_batch.half_bodies(Augmentation(half_body=1.0), *arrays, COCO_17, 1.25))
    labelled = keypoints[..., 2] > 0
    sparse = labelled.sum(axis=1) <= 8
    np.testing.assert_allclose(halved[sparse], boxes[sparse], rtol=1e-6)
    lower = 0
    for box, person, here in zip(halved[~sparse], keypoints[~sparse], labelled[~sparse], strict=True):
        centres = [person[here & half, :2].mean(axis=0) for half in (COCO_17.lower_body, ~COCO_17.lower_body)]
        distances = [np.abs(box[:2] + box[2:] / 2 - centre).max() for centre in centres]
        assert min(distances) < 1e-2
        lower += int(np.argmin(distances) == 0)
    assert 0.2 < lower / (~sparse).sum() < 0.6


@every_source
def test_draws_fill_their_ranges_and_are_independent(source):
    _, uniforms = source
    numbers = np.asarray(uniforms(0, 7, 4000))
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    motion = augment_batch.draw_motion(EVERYTHING, numbers)
    columns = {"rotation": 40, "scale": 0.3}
    for name, reach in columns.items():
        values = getattr(motion, name) - (1 if name == "scale" else 0)
        assert -reach <= values.min() < -0.99 * reach < 0.99 * reach < values.max() <= reach
        assert abs(values.mean()) < 0.05 * reach
    assert np.abs(motion.translation).max() <= 0.1
    assert 0.47 < motion.flip.mean() < 0.53
    assert np.abs(np.corrcoef(numbers.T) - np.eye(augment_batch.DRAWS)).max() < 0.08
    for other in (uniforms(0, 8, 4000), uniforms(1, 7, 4000)):
        both = np.corrcoef(numbers.ravel(), np.ravel(other))
        assert abs(both[0, 1]) < 0.02


@every_library
def test_colours_without_range_change_nothing_and_grey_stays_grey_under_hue(array):
    numbers = array(uniform_numbers(50))
    same = augment_batch.draw_colours(Augmentation(), numbers)
    assert same.dtype == np.float32
    np.testing.assert_allclose(same, np.tile(np.eye(3, 4), (50, 1, 1)), atol=1e-6)
    turned = np.asarray(augment_batch.draw_colours(Augmentation(hue=180, saturation=1.0), numbers))
    np.testing.assert_allclose(turned @ [90, 90, 90, 1], np.full((50, 3), 90), atol=0.2)


def test_flip_permutes_exactly_the_skeletons_pairs():
    joints = np.arange(17)
    swapped = {
        frozenset((int(a), int(b))) for a, b in zip(joints, COCO_17.flip_permutation, strict=True) if a != b
    }
    assert swapped == {frozenset(pair) for pair in COCO_17.flip_pairs}


affines = st.tuples(st.floats(-45, 45), st.floats(0.75, 1.3), st.booleans())
points = st.lists(st.tuples(st.floats(60, 130), st.floats(70, 180)), min_size=17, max_size=17)


@settings(deadline=None, max_examples=60)
@given(affines, points)
def test_augment_then_encode_is_encode_then_augment(motion, joints):
    """Drawing the moved points, and moving the drawn points' maps, put them in the same places."""
    height, width = 256, 192
    codec = HeatmapCodec(height // 4, width // 4)
    rotation, scale, flip = motion
    # An augmentation of the crop itself: about its centre, in crop pixels.
    box = [width * 0.1, height * 0.1, width * 0.8, height * 0.8]
    move = geometry.crop_affine(box, height, width, 1.25, rotation, scale, flip)
    joints = np.array(joints)
    plain, _ = codec_batch.encode(codec, joints[None].astype(np.float32), np.ones((1, 17), np.float32))
    moved_points = geometry.transform_points(joints, move)
    direct, weights = codec_batch.encode(
        codec, moved_points[None].astype(np.float32), np.ones((1, 17), np.float32)
    )
    # Heatmap index i is crop pixel 4·i, so the maps move by the same affine in units of 4 pixels.
    in_maps = np.column_stack([move[:, :2], move[:, 2] / codec.stride])
    inverse = tf.constant(np.append(geometry.invert_affine(in_maps).ravel(), [0, 0])[None], tf.float32)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=plain,
        transforms=inverse,
        output_shape=(codec.height, codec.width),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    ).numpy()[0]
    far_inside = (
        (weights[0] > 0)
        & (moved_points > 40).all(axis=1)
        & (moved_points < np.array([width, height]) - 40).all(axis=1)
    )
    decoded = codec.decode(warped)[far_inside, :2]
    # Bilinear sampling of a σ = 2 gaussian shifts its peak by less than an eighth of a heatmap pixel.
    np.testing.assert_allclose(decoded, codec.decode(direct[0])[far_inside, :2], atol=0.5)


def test_flip_then_encode_is_encode_then_flip():
    height, width = 192, 144
    codec = HeatmapCodec(height // 4, width // 4)
    boxes, keypoints = some_people(20)
    keypoints[..., 2] = 2
    checked = 0
    for box, joints in zip(boxes, keypoints, strict=True):
        plain, mirrored = (
            geometry.crop_affine(box, height, width, 1.25, rotation=20.0, flip=flip) for flip in (False, True)
        )
        maps, weights = codec.encode(geometry.transform_points(joints[:, :2], plain), joints[:, 2])
        swapped = joints[COCO_17.flip_permutation]
        flipped, flipped_weights = codec.encode(
            geometry.transform_points(swapped[:, :2], mirrored), swapped[:, 2]
        )
        np.testing.assert_array_equal(flipped_weights, weights[COCO_17.flip_permutation])
        there = codec.decode(maps)[..., :2]
        back = codec.decode(flip_heatmaps(flipped, COCO_17))[..., :2]
        # The repeated column of the flip test's shift must not reach the decoder's 11 taps.
        inside = (there[:, 0] > 32) & (there[:, 0] < width - 32)
        checked += inside.sum()
        # A crop's mirror and a heatmap's differ by ¼ heatmap pixel at stride 4: one crop pixel.
        np.testing.assert_allclose((back - there)[inside] - [1.0, 0.0], 0, atol=0.05)
    assert checked > 100
