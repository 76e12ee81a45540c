"""What both sources of batches promise, and what the tf.data pipeline does beyond that."""

import dataclasses
import functools
import itertools

import cv2
import numpy as np
import pytest
import synthetic_people
import tensorflow as tf
from broken_photos import BROKEN, broken
from PIL import Image
from synthetic_people import COLOURS, NAMES, SKELETON

from flpn_tf import geometry
from flpn_tf.codec import HeatmapCodec
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.device_samples import device_batches
from flpn_tf.data.pipeline import explain, training_dataset
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import read_image
from flpn_tf.skeleton import Skeleton

SIZE = (96, 64)
CODEC = HeatmapCodec(SIZE[0] // 4, SIZE[1] // 4)
STRONG = Augmentation(rotation=60, scale=0.3, flip=0.5)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = synthetic_people.write(tmp_path_factory.mktemp("people"), synthetic_people.document(people=7))
    return read_people(folder)


@pytest.fixture(scope="module")
def records(people):
    return people.records


def first(source, people, count, batch_size=2, **options):
    samples = source(people, CODEC, SIZE, batch_size, **options)
    return [tuple(np.asarray(part) for part in batch) for batch in itertools.islice(samples, count)]


@pytest.fixture(params=[training_dataset, device_batches], ids=["tf.data", "jax"])
def batches(request):
    """The first batches of each source."""
    return functools.partial(first, request.param)


def person_of(crop_batch, records):
    """Which records' plain crops these are."""
    plain = [
        geometry.warp(read_image(r.image), geometry.crop_affine(r.box, *SIZE), *SIZE).astype(int)
        for r in records
    ]
    distance = [[np.abs(crop - other).mean() for other in plain] for crop in crop_batch]
    assert np.min(distance, axis=1).max() < 0.05
    return np.argmin(distance, axis=1).tolist()


def test_batch_is_what_the_numpy_originals_make(batches, people, records):
    (crops, heatmaps, weights), *_ = batches(people, 1, batch_size=4)
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


def test_every_person_once_an_epoch_in_another_order(batches, people, records):
    crops = np.concatenate([crops for crops, *_ in batches(people, 21, batch_size=1)])
    epochs = np.reshape(person_of(crops, records), (3, 7))
    np.testing.assert_array_equal(np.sort(epochs, axis=1), [list(range(7))] * 3)
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3


def equal(some, others):
    return all(
        np.array_equal(a, b)
        for one, other in zip(some, others, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_order_and_augmentation_depend_on_seed_and_step_alone(batches, people):
    whole = batches(people, 8, seed=5, augmentation=STRONG)
    tf.random.set_seed(1234)  # the global seeds have no say
    np.random.seed(1234)  # noqa: NPY002
    assert equal(batches(people, 8, seed=5, augmentation=STRONG), whole)
    assert equal(batches(people, 5, seed=5, augmentation=STRONG, first_step=3), whole[3:])
    assert not equal(batches(people, 8, seed=6, augmentation=STRONG), whole)


def test_order_without_shuffling_is_the_data_sets(batches, people, records):
    crops = np.concatenate([crops for crops, *_ in batches(people, 9, batch_size=1, shuffle=False)])
    assert person_of(crops, records) == [0, 1, 2, 3, 4, 5, 6, 0, 1]


def test_one_pass_with_and_without_its_remainder(batches, people, records):
    assert [len(crops) for crops, *_ in batches(people, 9, 3, repeat=False)] == [3, 3]
    parts = batches(people, 9, 3, repeat=False, drop_remainder=False)
    assert [len(crops) for crops, *_ in parts] == [3, 3, 1]
    assert sorted(person_of(np.concatenate([crops for crops, *_ in parts]), records)) == list(range(7))


def test_workers_together_see_what_one_would(people):
    whole = first(training_dataset, people, 5, batch_size=6, augmentation=STRONG)
    parts = [first(training_dataset, people, 5, 6, augmentation=STRONG, shard=(i, 3)) for i in range(3)]
    steps = zip(*parts, strict=True)
    together = [tuple(np.concatenate(pieces) for pieces in zip(*step, strict=True)) for step in steps]
    assert equal(together, whole)


@pytest.mark.parametrize("shard", [(2, 2), (-1, 2), (0, 4)])
def test_a_shard_that_does_not_divide_the_batch(people, shard):
    with pytest.raises(InputError, match="Received: "):
        first(training_dataset, people, 1, batch_size=6, shard=shard)


def test_augmentation_moves_pixels_and_targets_together(batches, people):
    """Each target lies on its joint's colour; in a mirrored crop, on the colour of the other side's joint."""
    checked, mirrored = 0, []
    for crops, heatmaps, weights in batches(people, 20, augmentation=STRONG):
        # A joint just outside has part of its gaussian inside, of which the decoder can't see the peak.
        visible = (weights > 0) & (heatmaps.max(axis=(1, 2)) > 0.9)
        points = CODEC.decode(heatmaps)[..., :2]
        for crop, person, seen in zip(crops, points, visible, strict=True):
            x, y = np.rint(person).astype(int).T
            inside = seen & (x >= 0) & (x < SIZE[1]) & (y >= 0) & (y < SIZE[0])
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


def test_half_bodies_need_two_halves(batches, people):
    legs = Skeleton.from_coco_category({"keypoints": NAMES[3:]})
    records = [dataclasses.replace(r, keypoints=r.keypoints[3:], skeleton=legs) for r in people.records]
    with pytest.raises(InputError, match="half_body needs joints above and below the hips"):
        batches(dataclasses.replace(people, records=records), 1, augmentation=Augmentation(half_body=0.3))


def test_large_photos_are_cut_to_what_the_crop_shows(batches, people, tmp_path):
    """A photo of many pixels gives the crop it would give whole, be the person small or large in it."""
    rows, columns = np.mgrid[:1300, :1500]
    wave = 127 + 60 * np.sin(rows / 19) + 60 * np.cos(columns / 17)
    photo = np.repeat(np.rint(wave).astype(np.uint8)[..., None], 3, axis=2)
    cv2.imwrite(str(tmp_path / "large.png"), photo)
    boxes = np.array([[700.0, 500, 90, 160], [20, 30, 1400, 1200], [1450, 1200, 40, 60], [-30, -40, 90, 90]])
    records = [
        dataclasses.replace(people.records[0], image=tmp_path / "large.png", box=box, image_size=None)
        for box in boxes
    ]
    large = dataclasses.replace(people, records=records)
    for augmentation in (None, Augmentation(rotation=0, scale=0, flip=0)):
        ((crops, *_),) = batches(large, 1, 4, shuffle=False, augmentation=augmentation)
        for crop, box in zip(crops, boxes, strict=True):
            expected = geometry.warp(photo, geometry.crop_affine(box, *SIZE), *SIZE)
            difference = np.abs(crop.astype(int) - expected)
            assert difference.max() <= 1
            assert difference.mean() < 0.05
            assert crop.std() > 5


@pytest.mark.parametrize(
    "values",
    [
        {"rotation": -1},
        {"rotation": 200},
        {"scale": 1.0},
        {"scale": -0.1},
        {"flip": 1.5},
        {"hue": 181},
        {"contrast": 2},
        {"half_body": -1},
        {"translation": 1.1},
    ],
)
def test_ranges_are_checked(values):
    with pytest.raises(InputError, match="Received: "):
        Augmentation(**values)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_exif_orientation_is_applied(batches, people, tmp_path, suffix):
    """The pixels of a photo stored lying down, with the tag that says so, are those of the upright one."""
    upright = read_image(people.records[0].image)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to view
    turned = tmp_path / f"turned.{suffix}"
    Image.fromarray(np.rot90(upright)).save(turned, exif=exif)
    lying = cv2.imread(str(turned), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert lying.shape[:2] == upright.shape[1::-1]
    one = dataclasses.replace(people, records=[dataclasses.replace(people.records[0], image=turned)])
    ((crops, *_),) = batches(one, 1, batch_size=1)
    affine = geometry.crop_affine(one.records[0].box, *SIZE)
    expected = geometry.warp(read_image(turned), affine, *SIZE)
    assert np.abs(crops[0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
def test_a_photo_that_cannot_be_decoded_is_named(people, tmp_path, make):
    photo = tmp_path / "broken: photo.png"
    bad = broken(people, photo, make(people.records[3].image.read_bytes()))
    with pytest.raises(tf.errors.OpError):
        first(training_dataset, bad, 7, batch_size=1)
    error = explain(bad, batch_size=1)
    assert isinstance(error, InputError)
    assert f"{photo}, person {bad.records[3].person_id}" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 500


def test_a_photo_that_vanishes_is_named(people, tmp_path):
    bad = broken(people, tmp_path / "gone.png", b"")
    (tmp_path / "gone.png").unlink()
    with pytest.raises(tf.errors.NotFoundError):
        first(training_dataset, bad, 7, batch_size=1)
    assert "gone.png" in str(explain(bad, batch_size=1))


def test_intact_photos_are_not_blamed(people):
    assert explain(people, batch_size=2, first_step=1) is None


def test_a_photo_of_another_size_than_its_annotations_say_is_named(people, tmp_path):
    """Else the network would be fitted to joints in the wrong places."""
    smaller = cv2.resize(cv2.imread(str(people.records[3].image)), (50, 60))
    bad = broken(people, tmp_path / "small.png", cv2.imencode(".png", smaller)[1].tobytes())
    with pytest.raises(tf.errors.InvalidArgumentError):
        first(training_dataset, bad, 7, batch_size=1)
    message = str(explain(bad, batch_size=1))
    assert "small.png, person" in message
    assert "is 50x60 upright, its annotations say 100x120" in message
