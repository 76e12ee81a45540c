"""What a prepared record keeps of a photo: all that training can see, with the points on its pixels."""

import dataclasses
import io
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import sample_reference
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from synthetic_people import COLOURS, SKELETON

from flpn_tf import geometry
from flpn_tf.codec import HeatmapCodec
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.findings import BadEntry
from flpn_tf.data.records import PersonRecord
from flpn_tf.data.stored_photo import StoredPhoto, store
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import decode_image
from flpn_tf.skeleton import COCO_17

SIZE = (64, 48)
CODEC = HeatmapCodec(16, 12)
SHARP = 1e6  # so much detail that nothing is shrunk


def person(box, keypoints, skeleton=COCO_17, **values):
    return PersonRecord(Path("photo"), 7, 11, np.array(box, np.float64), 100.0, keypoints, skeleton, **values)


def moved(record, stored):
    return dataclasses.replace(
        record,
        box=stored["box"].astype(np.float32).astype(np.float64),
        area=stored["area"],
        keypoints=stored["keypoints"].astype(np.float32),
    )


def texture(width, height, seed=0):
    """Smooth and nowhere dark: a pixel that is missing in a crop, so black, stands out."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(110, 250, (max(2, height // 24), max(2, width // 24), 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 100, 255).astype(
        np.uint8
    )


def png(photo):
    return cv2.imencode(".png", photo[..., ::-1])[1].tobytes()


def saved(photo, kind, mode="RGB", colours=None, **options):
    stream = io.BytesIO()
    image = Image.fromarray(photo)
    image = image.convert(mode) if colours is None else image.quantize(colours)
    image.save(stream, kind, **options)
    return stream.getvalue()


def scene(seed):
    """(photo, record): anything from a small person in a large photo to one that the photo cuts off."""
    rng = np.random.default_rng(seed)
    width, height = rng.integers(30, 500, 2).tolist()
    start = rng.choice([-20, width / 3]), rng.choice([-20, height / 3])
    start = rng.uniform(start, [width - 2, height - 2])
    box = [*start, *rng.uniform(1, rng.choice([40, 100, 400]), 2)]
    points = box[:2] + rng.normal(0.5, rng.choice([0.2, 0.6]), (17, 2)) * box[2:]
    visible = rng.choice([0, 1, 2], (17, 1), p=[0.4, 0.1, 0.5])
    return texture(width, height, seed), person(box, np.concatenate([points, visible], 1).astype(np.float32))


unit = st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1)
reaches = st.builds(
    Augmentation,
    rotation=st.sampled_from([0.0, 40.0, 75.0, 180.0]) | st.floats(0, 180),
    scale=st.sampled_from([0.0, 0.3, 0.9]),
    translation=st.sampled_from([0.0, 1.0]) | st.floats(0, 1),
    half_body=st.sampled_from([0.0, 1.0]),
)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 10**6), reaches, unit, st.lists(unit, min_size=12, max_size=12))
@example(3, Augmentation(rotation=40, scale=0.3, half_body=1), 1.0, [0.0, 1.0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0])
@example(3, Augmentation(rotation=40, scale=0.3, half_body=1), 1.0, [1.0, 1.0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0])
def test_every_augmentation_within_reach_sees_what_it_would_see_in_the_whole_photo(
    seed, reach, share, numbers
):
    photo, record = scene(seed)
    options = StoredPhoto(image_size=SIZE, reach=reach, detail=SHARP, quality=100)
    content, (stored,) = store(png(photo), [record], options)
    picture = decode_image_of_any_size(content)
    used = Augmentation(
        rotation=share * reach.rotation,
        scale=share * reach.scale,
        translation=share * reach.translation,
        half_body=reach.half_body,
    )
    numbers = np.array(numbers)
    expected = sample_reference.transform(photo, record, CODEC, SIZE, used, numbers)
    found = sample_reference.transform(picture, moved(record, stored), CODEC, SIZE, used, numbers)
    difference = np.abs(found[0] - expected[0])
    assert difference.max() <= 16  # JPEG; a missing pixel would be 100 off, at least in part
    assert difference.mean() <= 2
    labelled = record.keypoints[:, 2] > 0
    if numbers[2] < used.flip:
        labelled = labelled[COCO_17.flip_permutation]
    np.testing.assert_allclose(found[1][labelled], expected[1][labelled], atol=0.02)
    np.testing.assert_array_equal(found[3], expected[3])


def decode_image_of_any_size(content):
    """`decode_image` wants 8 pixels a side; TensorFlow, which reads the shards, does not."""
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)


@pytest.mark.parametrize("rotation", [35, 90])
def test_no_more_is_kept_than_some_augmentation_sees(rotation):
    rng = np.random.default_rng(0)
    reach = Augmentation(rotation=rotation, scale=0.25, translation=0.1, half_body=1)
    photo = texture(1200, 1200)
    points = np.column_stack([rng.uniform([500, 450], [600, 700], (17, 2)), np.full(17, 2)])
    record = person([490, 440, 120, 270], points.astype(np.float32))
    content, (stored,) = store(
        png(photo), [record], StoredPhoto(image_size=SIZE, reach=reach, detail=SHARP, quality=100)
    )
    start = record.box[:2] - stored["box"][:2]
    stop = start + decode_image(content, "stored").shape[1::-1]
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    corners = np.array([[0, 0], [SIZE[1], 0], [0, SIZE[0]], [SIZE[1], SIZE[0]]])
    for numbers in rng.integers(0, 2, (3000, 12)).astype(float):
        numbers[0] = rng.choice([0, 1, rng.uniform()])
        signed = 2 * numbers - 1
        box = sample_reference.half_body(
            record.box, record.keypoints, numbers, 1 - numbers[7], COCO_17.lower_body, 1.25
        )
        shown = max(box[2], box[3] * 0.75)
        box = box + np.append(signed[3:5] * reach.translation * [shown, shown / 0.75], [0, 0])
        affine = geometry.crop_affine(
            box, *SIZE, 1.25, signed[0] * reach.rotation, 1 + signed[1] * reach.scale
        )
        seen = geometry.transform_points(corners, geometry.invert_affine(affine))
        low, high = np.minimum(low, seen.min(axis=0)), np.maximum(high, seen.max(axis=0))
    assert (start <= low).all()
    assert (stop >= high).all()
    assert (start >= low - 8).all()
    assert (stop <= high + 8).all()


# A person of discs in a large photo ------------------------------------------------------------

WIDTH, HEIGHT, RADIUS = 750, 550, 22
CENTRES = np.array([(350, 100), (400, 165), (300, 165), (390, 280), (310, 280), (395, 450), (305, 450)])


def discs():
    photo = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    for centre, colour in zip(CENTRES.tolist(), COLOURS.tolist(), strict=True):
        cv2.circle(photo, centre, RADIUS, colour, -1)
    return photo


def disc_person(**values):
    keypoints = np.column_stack([CENTRES, np.full(7, 2)]).astype(np.float32)
    keypoints[4, 2] = 1
    return person([270, 70, 160, 410], keypoints, SKELETON, **values)


def centres_of(picture):
    """(7, 2) centres of the discs, by their colours."""
    found = []
    for colour in COLOURS.astype(np.int16):
        rows, columns = np.nonzero(np.abs(picture - colour).sum(axis=-1) < 120)
        found.append([columns.mean(), rows.mean()])
    return np.array(found)


UPRIGHT_TO_STORED = {  # of EXIF orientation 1–8, what a camera would have written
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, -1),
}


def turned(orientation, kind="JPEG", **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(UPRIGHT_TO_STORED[orientation](discs()))
    return saved(stored, kind, exif=exif, **options)


KEPT = {  # as they are, where they are wanted whole
    "jpeg": lambda: saved(discs(), "JPEG", quality=95),
    "progressive jpeg": lambda: saved(discs(), "JPEG", quality=95, progressive=True),
    "cmyk jpeg": lambda: saved(discs(), "JPEG", "CMYK", quality=95),
    "upright exif": lambda: turned(1, quality=95),
    "png": lambda: saved(discs(), "PNG"),
    "png with alpha": lambda: saved(discs(), "PNG", "RGBA"),
    "png with a palette": lambda: saved(discs(), "PNG", colours=16),
    "png of 16 bits": lambda: cv2.imencode(".png", discs()[..., ::-1].astype(np.uint16) * 257)[1].tobytes(),
}
ANEW = {
    "bmp": lambda: saved(discs(), "BMP"),
    "webp": lambda: saved(discs(), "WEBP", quality=95),
    "tiff": lambda: saved(discs(), "TIFF", compression="tiff_lzw"),
    **{f"exif {number}": lambda number=number: turned(number, quality=95) for number in range(2, 9)},
    "png exif 6": lambda: turned(6, "PNG"),
    "webp exif 6": lambda: turned(6, "WEBP", quality=95),
}
FORMATS = KEPT | ANEW


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("whole", [False, True], ids=["part", "whole"])
def test_joints_lie_on_their_pixels(name, whole):
    content = FORMATS[name]()
    record = disc_person(image_size=(WIDTH, HEIGHT))
    encoded, (stored,) = store(content, [record], StoredPhoto(whole=whole, detail=0.5))
    assert (encoded is content) == (whole and name in KEPT)
    picture = decode_image(encoded, "stored")
    beside = stored["keypoints"][:, :2] - centres_of(picture)
    np.testing.assert_allclose(beside, 0, atol=0.35)
    np.testing.assert_allclose(beside.mean(axis=0), 0, atol=0.1)
    np.testing.assert_array_equal(stored["keypoints"][:, 2], record.keypoints[:, 2])
    scale = stored["box"][2:] / record.box[2:]
    np.testing.assert_allclose(stored["area"], record.area * scale.prod(), rtol=1e-6)
    if whole:
        assert picture.shape == (HEIGHT, WIDTH, 3)
        np.testing.assert_allclose(scale, 1)
    else:
        # Half a stored pixel a crop pixel, which is 410 · 0.75 · 1.25 / 192 photo pixels.
        np.testing.assert_allclose(scale, 0.5 / (410 * 0.75 * 1.25 / 192), rtol=0.01)
        assert max(picture.shape) < 200
    crops = [
        geometry.warp(image, geometry.crop_affine(box, 96, 72), 96, 72).astype(int)
        for image, box in ((discs(), record.box), (picture, stored["box"]))
    ]
    difference = np.abs(crops[1] - crops[0])
    assert difference.mean() < 3  # the discs' rims are finer in the photo
    assert (difference.max(axis=-1) > 60).mean() < 0.02


def test_a_picture_not_encoded_as_jpeg_or_png_is_a_jpeg_afterwards():
    for name in ("bmp", "exif 6", "png exif 6"):
        encoded, _ = store(FORMATS[name](), [disc_person()], StoredPhoto(whole=True))
        assert encoded.startswith(b"\xff\xd8\xff")
        assert b"Exif" not in encoded


def test_what_could_stay_is_encoded_anew_on_request():
    content = FORMATS["png"]()
    encoded, (stored,) = store(content, [disc_person()], StoredPhoto(whole=True), keep_bytes=False)
    assert encoded.startswith(b"\xff\xd8\xff")
    np.testing.assert_array_equal(stored["box"], disc_person().box)


def test_a_small_photo_that_is_all_in_reach_keeps_its_bytes():
    content = png(texture(60, 80))
    record = person([10, 10, 40, 60], np.zeros((17, 3), np.float32))
    encoded, (stored,) = store(content, [record], StoredPhoto())
    assert encoded is content
    np.testing.assert_array_equal(stored["box"], record.box)
    assert (stored["id"], stored["area"]) == (11, 100.0)


def test_several_people_of_a_whole_photo():
    content = png(texture(90, 90))
    keypoints = np.full((17, 3), 2, np.float32)
    people = [person([i, 2 * i, 30, 40], keypoints + i) for i in range(3)]
    _, stored = store(content, people, StoredPhoto(whole=True))
    for record, one in zip(people, stored, strict=True):
        np.testing.assert_array_equal(one["box"], record.box)
        np.testing.assert_array_equal(one["keypoints"], record.keypoints)


def test_unlabelled_joints_are_zeros_and_labelled_ones_may_lie_outside():
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[0], keypoints[1], keypoints[2] = (900, 5, 0), (-50, 700, 2), (400, 300, 1)
    record = person([380, 280, 40, 60], keypoints)
    _, (stored,) = store(png(texture(800, 600)), [record], StoredPhoto(image_size=SIZE, detail=SHARP))
    np.testing.assert_array_equal(stored["keypoints"][[0, 3]], 0)
    shift = record.box[:2] - stored["box"][:2]
    np.testing.assert_allclose(stored["keypoints"][1:3, :2], keypoints[1:3, :2] - shift)
    assert (shift > 0).all()


@pytest.mark.parametrize("detail", [0.5, 1.5, 3.0])
def test_detail_bounds_the_pixels_stored(detail):
    options = StoredPhoto(detail=detail, reach=Augmentation(rotation=0, scale=0, half_body=0))
    encoded, _ = store(png(discs()), [disc_person()], options)
    height, width = decode_image(encoded, "stored").shape[:2]
    factor = min(detail, 410 * 1.25 / 256)
    assert height <= 256 * factor + 8
    # Above and below, the crop leaves the photo.
    assert height == pytest.approx((410 + 70 + 51.25) * 256 / (410 * 1.25) * factor, rel=0.05)
    assert width == pytest.approx(192 * factor, rel=0.05)


def test_the_halves_keep_their_detail():
    """A half body is shown larger than the person, and needs the photo's finer pixels."""
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform([300, 100], [500, 250], (17, 2)), np.full(17, 2)])
    points[COCO_17.lower_body, 1] += 600
    record = person([250, 50, 300, 850], points.astype(np.float32))
    zooms = {}
    for half_body in (0.0, 1.0):
        options = StoredPhoto(image_size=SIZE, reach=Augmentation(half_body=half_body))
        _, (stored,) = store(png(texture(800, 950)), [record], options)
        zooms[half_body] = stored["box"][3] / record.box[3]
    assert zooms[1.0] > 1.4 * zooms[0.0]


@pytest.mark.parametrize(("upper", "lower", "room"), [(6, 3, True), (7, 2, False), (5, 3, False)])
def test_halves_that_augmentation_never_shows_get_no_room(upper, lower, room):
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[:upper] = (100, 100, 2)
    keypoints[np.flatnonzero(COCO_17.lower_body)[:lower]] = (700, 500, 1)
    record = person([80, 80, 40, 40], keypoints)
    encoded, _ = store(png(texture(800, 600)), [record], StoredPhoto(image_size=SIZE, detail=SHARP))
    assert (decode_image(encoded, "stored").shape[1] > 500) == room


# What cannot be stored ---------------------------------------------------------------------------

PNG = png(texture(100, 80))
JPEG = saved(texture(100, 80), "JPEG", quality=90)


def claiming(width, height, kind="png"):
    """A small file whose header claims this size."""
    if kind == "png":
        return PNG[:16] + width.to_bytes(4) + height.to_bytes(4) + PNG[24:]
    place = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:place] + height.to_bytes(2) + width.to_bytes(2) + JPEG[place + 4 :]


DAMAGED = {
    "empty": b"",
    "text": b"no photo at all",
    "png cut": PNG[:-2000],
    "jpeg cut": JPEG[: len(JPEG) // 2],
    "jpeg cut at its end": JPEG[:-40],
    "jpeg overwritten": JPEG[:700] + bytes(64) + JPEG[764:],
    "header only": JPEG[:100],
    "100 megapixels png": claiming(10_000, 10_000),
    "100 megapixels jpeg": claiming(10_000, 10_000, "jpeg"),
    "too small": png(np.zeros((4, 100, 3), np.uint8)),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("whole", [False, True], ids=["part", "whole"])
def test_bad_photos_are_refused_by_name(content, whole):
    record = person([10, 10, 40, 60], np.zeros((17, 3), np.float32))
    with pytest.raises(BadEntry) as caught:
        store(content, [record], StoredPhoto(whole=whole))
    assert caught.value.kind == "bad photo"
    assert "photo" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert ("megapixels" in str(caught.value)) == (len(content) > 30 and content in LARGE)


LARGE = {DAMAGED["100 megapixels png"], DAMAGED["100 megapixels jpeg"]}


@pytest.mark.parametrize("stated", [(100, 81), (80, 100), (101, 80)])
def test_a_photo_of_another_size_than_the_annotations_say(stated):
    record = person([10, 10, 40, 60], np.zeros((17, 3), np.float32), image_size=stated)
    with pytest.raises(BadEntry) as caught:
        store(PNG, [record], StoredPhoto())
    assert caught.value.kind == "size differs"
    assert f"photo: is 100x80 upright, its annotations say {stated[0]}x{stated[1]}" in str(caught.value)


def test_a_side_longer_than_a_jpeg_can_have():
    photo = np.zeros((9, 65_501, 3), np.uint8)
    record = person([10, 1, 40, 6], np.zeros((17, 3), np.float32))
    content = saved(photo, "BMP")
    with pytest.raises(BadEntry, match="photo: a JPEG has sides of at most 65500 pixels. .*65501x9"):
        store(content, [record], StoredPhoto(whole=True))
    encoded, _ = store(content, [record], StoredPhoto())
    assert decode_image(encoded, "stored").shape[1] < 100


@pytest.mark.parametrize(
    "values",
    [
        {"image_size": (0, 192)},
        {"image_size": (256, -1)},
        {"quality": 0},
        {"quality": 101},
        {"detail": 0},
        {"detail": -1},
        {"detail": math.inf},
        {"detail": math.nan},
        {"padding": 0},
        {"padding": math.nan},
        {"padding": math.inf},
    ],
)
def test_options_are_checked(values):
    with pytest.raises(InputError, match="Received: "):
        StoredPhoto(**values)
