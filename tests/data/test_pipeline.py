import itertools

import cv2
import numpy as np
import pytest
import synthetic_people
import tensorflow as tf
from synthetic_people import COLOURS, SKELETON

from flpn_tf import geometry
from flpn_tf.codec import HeatmapCodec, flip_heatmaps
from flpn_tf.data import codec_tf, geometry_tf
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.coco import find_data_set, read_coco
from flpn_tf.data.pipeline import photo_error, sample, training_dataset
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import read_image

SIZE = (96, 64)
CODEC = HeatmapCodec(SIZE[0] // 4, SIZE[1] // 4)
STRONG = Augmentation(rotation=60, scale=0.3, flip=0.5)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = synthetic_people.write(tmp_path_factory.mktemp("people"), synthetic_people.document(people=7))
    return read_coco(*find_data_set(folder))[1]


def batches(records, count, batch_size=2, **options):
    dataset = training_dataset(records, SKELETON, CODEC, SIZE, batch_size, **options)
    return [tuple(part.numpy() for part in batch) for batch in dataset.take(count)]


def person_of(crop_batch, records):
    """Which records' plain crops these are."""
    plain = [
        geometry.warp(read_image(r.image), geometry.crop_affine(r.box, *SIZE), *SIZE).astype(int)
        for r in records
    ]
    distance = [[np.abs(crop - other).mean() for other in plain] for crop in crop_batch]
    assert np.min(distance, axis=1).max() < 0.05
    return np.argmin(distance, axis=1).tolist()


def test_batch_is_what_the_numpy_originals_make(records):
    (crops, heatmaps, weights), *_ = batches(records, 1, batch_size=4)
    assert (crops.shape, crops.dtype) == ((4, *SIZE, 3), np.uint8)
    assert (heatmaps.shape, heatmaps.dtype) == ((4, 24, 16, 7), np.float32)
    assert (weights.shape, weights.dtype) == ((4, 7), np.float32)
    for place, index in enumerate(person_of(crops, records)):
        record = records[index]
        affine = geometry.crop_affine(record.box, *SIZE)
        points = geometry.transform_points(record.keypoints[:, :2], affine)
        maps, weight = CODEC.encode(points, record.keypoints[:, 2])
        np.testing.assert_allclose(heatmaps[place], maps, atol=1e-5)
        np.testing.assert_array_equal(weights[place], weight)


def test_every_person_once_an_epoch_in_another_order(records):
    crops = np.concatenate([crops for crops, *_ in batches(records, 21, batch_size=1)])
    epochs = np.reshape(person_of(crops, records), (3, 7))
    np.testing.assert_array_equal(np.sort(epochs, axis=1), [list(range(7))] * 3)
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3


def equal(some, others):
    return all(
        np.array_equal(a, b)
        for one, other in zip(some, others, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_order_and_augmentation_depend_on_seed_and_step_alone(records):
    whole = batches(records, 8, seed=5, augmentation=STRONG)
    assert equal(batches(records, 8, seed=5, augmentation=STRONG), whole)
    assert equal(batches(records, 5, seed=5, augmentation=STRONG, first_step=3), whole[3:])
    assert not equal(batches(records, 8, seed=6, augmentation=STRONG), whole)


def test_augmentation_moves_pixels_and_targets_together(records):
    """Each target lies on its joint's colour; in a mirrored crop, on the colour of the other side's joint."""
    checked, mirrored = 0, []
    for crops, heatmaps, weights in batches(records, 20, augmentation=STRONG):
        points = CODEC.decode(heatmaps)[..., :2]
        for crop, person, weight in zip(crops, points, weights, strict=True):
            x, y = np.rint(person).astype(int).T
            inside = (weight > 0) & (x >= 0) & (x < SIZE[1]) & (y >= 0) & (y < SIZE[0])
            found = crop[y[inside], x[inside]].astype(int)
            as_drawn, swapped = COLOURS[inside], COLOURS[SKELETON.flip_permutation][inside]
            mirrored.append(bool((np.abs(found - swapped) < 40).all()))
            np.testing.assert_allclose(found, swapped if mirrored[-1] else as_drawn, atol=40)
            checked += inside.sum()
            # Everybody faces us: with the names swapped too, left stays on the same side of the body.
            if inside[:4].all():
                right, hip = person[2] - person[1], person[3] - person[1]
                assert right[0] * hip[1] - right[1] * hip[0] < 0
    assert checked > 200
    assert 10 < sum(mirrored) < 30  # of 40
    epochs = np.reshape(mirrored[:35], (5, 7))
    assert (epochs.any(axis=1) & ~epochs.all(axis=1)).any()  # the people of an epoch are moved one by one


def test_flip_then_encode_is_encode_then_flip(records):
    height, width = 192, 144
    codec = HeatmapCodec(height // 4, width // 4)

    def encode(joints, affine):
        points = geometry_tf.transform_points(tf.constant(joints[:, :2]), affine)
        heatmaps, weights = codec_tf.encode(codec, points[tf.newaxis], joints[np.newaxis, :, 2])
        return heatmaps.numpy()[0], weights.numpy()[0]

    for record in records:
        plain_affine, flipped_affine = (
            geometry_tf.crop_affine(record.box, height, width, 1.25, rotation=20.0, flip=flip)
            for flip in (False, True)
        )
        plain, weights = encode(record.keypoints, plain_affine)
        mirrored, mirrored_weights = encode(record.keypoints[SKELETON.flip_permutation], flipped_affine)
        np.testing.assert_array_equal(mirrored_weights, weights[SKELETON.flip_permutation])
        there = codec.decode(plain)[..., :2]
        back = codec.decode(flip_heatmaps(mirrored, SKELETON))[..., :2]
        # The repeated column of the flip test's shift must not reach the decoder's 11 taps.
        inside = (there[:, 0] > 32) & (there[:, 0] < width - 32)
        assert inside.sum() >= 3
        # A crop's mirror and a heatmap's differ by ¼ heatmap pixel at stride 4: one crop pixel.
        np.testing.assert_allclose((back - there)[inside] - [1.0, 0.0], 0, atol=0.05)


def test_samples_fill_their_ranges():
    seeds = itertools.product(range(20), range(20))
    samples = np.array([[float(value) for value in sample(STRONG, seed)] for seed in seeds])
    (rotation, scale, flip) = samples.T
    assert -60 <= rotation.min() < -50 < 50 < rotation.max() <= 60
    assert 0.7 <= scale.min() < 0.75 < 1.25 < scale.max() <= 1.3
    assert 0.4 < flip.mean() < 0.6
    assert np.abs(np.corrcoef(samples.T) - np.eye(3)).max() < 0.2
    still = Augmentation(rotation=0, scale=0, flip=0)
    assert [float(value) for value in sample(still, (1, 2))] == [0, 1, 0]


@pytest.mark.parametrize(
    "values", [{"rotation": -1}, {"rotation": 200}, {"scale": 1.0}, {"scale": -0.1}, {"flip": 1.5}]
)
def test_ranges_are_checked(values):
    with pytest.raises(InputError, match="Received: "):
        Augmentation(**values)


def test_exif_orientation_is_applied(records, tmp_path):
    """The pixels of a photo stored lying down, with the tag that says so, are those of the upright one."""
    Image = pytest.importorskip("PIL.Image")
    upright = read_image(records[0].image)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to view
    Image.fromarray(np.rot90(upright)).save(tmp_path / "turned.png", exif=exif)
    turned = cv2.imread(str(tmp_path / "turned.png"), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert turned.shape[:2] == upright.shape[1::-1]
    one = [type(records[0])(tmp_path / "turned.png", *list(vars(records[0]).values())[1:])]
    assert equal(batches(one, 1, batch_size=1), batches(records[:1], 1, batch_size=1))


def test_a_photo_that_cannot_be_decoded_is_named(records, tmp_path):
    broken = tmp_path / "broken: photo.png"
    broken.write_bytes(records[0].image.read_bytes()[:300])
    one = [type(records[0])(broken, *list(vars(records[0]).values())[1:])]
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        batches(one, 1, batch_size=1)
    error = photo_error(caught.value)
    assert isinstance(error, InputError)
    assert str(broken) in str(error)
    assert "\n" not in str(error)


def test_another_error_of_the_dataset_is_not_taken_for_a_photo():
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        tf.reshape(tf.zeros(3), (2, 2))
    assert photo_error(caught.value) is None
