"""Folders of images per class, and what a classifier sees of them."""

import shutil

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from flpn_tf.data.class_folders import (
    ImageAugmentation,
    read_class_folders,
    training_batches,
    unreadable,
    validation_batches,
)
from flpn_tf.errors import InputError

SIZE = (32, 64)
CROPS = ImageAugmentation(scale=(0.1, 0.3), flip=0.5)


def ramp(height=120, width=160, blue=0):
    """Red grows with x and green with y, 0–255: a crop tells where it was."""
    rows, columns = np.mgrid[:height, :width]
    pixels = [columns * 255 / (width - 1), rows * 255 / (height - 1), np.full((height, width), blue)]
    return np.rint(np.stack(pixels, axis=-1)).astype(np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three classes of 3, 4 and 4 images; each image has its own blue, 10 · (its place in the order)."""
    root = tmp_path_factory.mktemp("classes")
    for place in range(11):
        name = ["ant", "bee", "cat"][min(place // 3, 2) if place < 7 else 2]
        save(root / name / f"{place:02}.png", ramp(blue=10 * place))
    return root


@pytest.fixture(scope="module")
def images(folder):
    return read_class_folders(folder)[0]


@pytest.fixture(scope="module")
def uninterrupted(images):
    """22 batches of 4: eight passes."""
    return batches(images, 22)


def batches(images, count, size=4, **options):
    dataset = training_batches(images, SIZE, size, CROPS, **{"seed": 3} | options)
    return [(crops, labels) for crops, labels in dataset.take(count).as_numpy_iterator()]


def places(batch):
    """Of a batch's images in the order of the data set, by their blue."""
    return np.rint(batch[0][:, 16, 32, 2] / 10).astype(int).tolist()


def assert_same(found, expected):
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        for part, same in zip(batch, other, strict=True):
            np.testing.assert_array_equal(part, same)


def test_classes_are_the_folders_in_the_order_of_their_names(folder, images):
    assert images.classes == ("ant", "bee", "cat")
    assert len(images) == 11
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    assert [path.decode() for path in images.paths] == [str(folder / name) for name in names]
    assert images.labels.tolist() == [images.classes.index(name[:3]) for name in names]


def test_train_and_val_folders(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "train")
    save(tmp_path / "val" / "cat" / "new.png", ramp())
    images, measured = read_class_folders(tmp_path)
    assert (len(images), len(measured)) == (11, 1)
    assert measured.classes == images.classes
    assert measured.labels.tolist() == [2]
    shutil.rmtree(tmp_path / "val")
    assert read_class_folders(tmp_path)[1] is None


def test_only_pictures_that_show_are_images(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "ant" / "notes.txt").write_text("")
    (copy / "ant" / "._00.png").write_text("a file manager's")
    (copy / "ant" / "deeper.png").mkdir()
    (copy / ".cache").mkdir()
    save(copy / "ant" / "z.JPEG", ramp())
    images, _ = read_class_folders(copy)
    assert images.classes == ("ant", "bee", "cat")
    assert [path.rsplit(b"/", 1)[1] for path in images.paths[:4]] == [
        b"00.png",
        b"01.png",
        b"02.png",
        b"z.JPEG",
    ]


def test_the_checksum_is_of_the_names_wherever_they_lie(folder, images, tmp_path, monkeypatch):
    copy = shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.chdir(copy)
    assert read_class_folders(".")[0].sha256 == images.sha256
    assert read_class_folders(copy)[0].sha256 == images.sha256
    (copy / "ant" / "00.png").rename(copy / "bee" / "00.png")
    assert read_class_folders(copy)[0].sha256 != images.sha256


def test_each_pass_has_every_image_once_with_its_label(images, uninterrupted):
    seen = [place for batch in uninterrupted for place in places(batch)]
    labels = [label for batch in uninterrupted for label in batch[1]]
    assert labels == [images.labels[place] for place in seen]
    passes = [seen[first : first + 11] for first in range(0, 88, 11)]
    assert all(sorted(one) == list(range(11)) for one in passes)
    assert len(set(map(tuple, passes))) == 8


def test_another_seed_is_another_order(images, uninterrupted):
    other = batches(images, 3, seed=4)
    assert [places(batch) for batch in other] != [places(batch) for batch in uninterrupted[:3]]


@pytest.mark.parametrize("first", [0, 5])
def test_from_any_step_on_it_is_the_same(images, uninterrupted, first):
    assert_same(batches(images, 3, first_step=first), uninterrupted[first : first + 3])


def test_workers_share_each_batch(images, uninterrupted):
    shares = [batches(images, 4, shard=(worker, 2), first_step=2) for worker in (0, 1)]
    together = [
        tuple(np.concatenate(parts) for parts in zip(*both, strict=True))
        for both in zip(*shares, strict=True)
    ]
    assert_same(together, uninterrupted[2:6])


def boxes(crops):
    """(left, right, top, bottom) of each crop in its photo, 0–1, and whether it is mirrored, by its ramps."""
    # From the mean slope: the outermost pixels are averages of what is inside.
    crops = crops.astype(float)
    height, width = crops.shape[1:3]
    across = np.polyfit(np.arange(width) + 0.5, crops[:, height // 2, :, 0].T, 1)
    down = np.polyfit(np.arange(height) + 0.5, crops[:, :, width // 2, 1].T, 1)
    edges = [across[1], across[1] + width * across[0], down[1], down[1] + height * down[0]]
    left, right, top, bottom = np.array(edges) / 255
    return np.minimum(left, right), np.maximum(left, right), top, bottom, across[0] < 0


def test_the_crops_share_of_the_image_its_aspect_and_its_mirroring(images):
    crops = np.concatenate([crops for crops, _ in batches(images, 100)])
    left, right, top, bottom, mirrored = boxes(crops)
    area = (right - left) * (bottom - top)
    assert 0.085 < area.min() < 0.13
    assert 0.27 < area.max() < 0.315
    # The photo's aspect is 4/3, the network's 2.
    aspect = (right - left) / (bottom - top) * (160 / 120) / 2
    assert 0.7 < aspect.min() < 0.8
    assert 1.25 < aspect.max() < 1.4
    assert abs(np.log(aspect).mean()) < 0.05
    assert 0.4 < mirrored.mean() < 0.6
    for low, high in ((left, right), (top, bottom)):
        assert -0.02 < low.min() < 0.02
        assert 0.98 < high.max() < 1.02
    assert (crops.dtype, crops.shape[1:]) == (np.uint8, (*SIZE, 3))


def test_the_whole_image_where_the_crop_would_reach_beyond(images):
    whole = ImageAugmentation(scale=(1.0, 1.0), flip=0.0)
    crops, _ = next(training_batches(images, SIZE, 64, whole).as_numpy_iterator())
    left, right, top, bottom, mirrored = boxes(crops)
    assert not mirrored.any()
    full = np.isclose(left, 0, atol=0.02) & np.isclose(right, 1, atol=0.02)
    assert full.all()  # the network's crop is wider than the photo
    height = (4 / 3 / 2) ** 0.5
    assert height * 0.85 < (bottom - top).min() < height < (bottom - top).max() < height * 1.17


def resized_centre(photo, sides):
    """The centred box of (height, width): by Pillow, which averages, where it is more than twice as large."""
    height, width = sides
    left, top = (photo.width - width) // 2, (photo.height - height) // 2
    part = photo.crop((left, top, left + width, top + height))
    if height > 2 * SIZE[0]:
        return np.asarray(part.resize(SIZE[::-1], Image.Resampling.BILINEAR)).astype(int)
    return cv2.resize(np.asarray(part), SIZE[::-1], interpolation=cv2.INTER_LINEAR).astype(int)


@pytest.mark.parametrize(
    ("name", "options", "sides"),
    [
        ("a.png", {}, (70, 140)),
        ("b.jpg", {"quality": 90}, (70, 140)),
        ("turned.jpg", {"quality": 90, "exif": {0x0112: 6}}, (52, 105)),
    ],
    ids=["png", "jpeg", "turned"],
)
def test_measured_on_the_middle_of_the_upright_image(tmp_path, name, options, sides):
    """7/8 of the largest centred part of the network's aspect: of 120×160, 80×160; of 160×120, 60×120."""
    noise = np.random.default_rng(0).integers(0, 60, (120, 160, 3))
    exif = Image.Exif()
    exif.update(options.pop("exif", {}))
    save(tmp_path / "ant" / name, (ramp(blue=50) // 2 + noise).astype(np.uint8), exif=exif, **options)
    save(tmp_path / "bee" / "c.png", ramp())
    images, _ = read_class_folders(tmp_path)
    ((crops, labels),) = validation_batches(images, SIZE, 5).as_numpy_iterator()
    assert labels.tolist() == [0, 1]
    with Image.open(tmp_path / "ant" / name) as photo:
        expected = resized_centre(ImageOps.exif_transpose(photo), sides)
    assert np.abs(crops[0] - expected).max() <= 2


def test_measured_on_each_image_once_in_order(images):
    found = list(validation_batches(images, SIZE, 4).as_numpy_iterator())
    assert [len(labels) for _, labels in found] == [4, 4, 3]
    assert [place for batch in found for place in places(batch)] == list(range(11))


def test_an_image_of_one_pixel(tmp_path):
    for name in ("ant", "bee"):
        save(tmp_path / name / "dot.png", np.full((1, 1, 3), 77, np.uint8))
    images, _ = read_class_folders(tmp_path)
    for dataset in (training_batches(images, SIZE, 2, CROPS), validation_batches(images, SIZE, 2)):
        assert (next(dataset.as_numpy_iterator())[0] == 77).all()


@pytest.mark.parametrize("damage", ["text", "cut", "gone", "huge"])
def test_an_image_that_cannot_be_read_is_named(folder, tmp_path, damage):
    copy = shutil.copytree(folder, tmp_path / "copy")
    images, _ = read_class_folders(copy)
    bad = copy / "cat" / "08.png"
    content = bad.read_bytes()
    contents = {"text": b"text", "cut": content[:200]}
    contents["huge"] = content[:16] + (10_000).to_bytes(4) * 2 + content[24:]
    bad.unlink() if damage == "gone" else bad.write_bytes(contents[damage])
    with pytest.raises(tf.errors.OpError):
        batches(images, 3)
    message = str(unreadable(images, 4, 3, 2))
    assert message.startswith(f"{bad}: cannot be read as a JPEG or PNG of at most 64,000,000 pixels; ")


def test_nothing_is_named_where_all_can_be_read(images):
    assert unreadable(images) is None


def spoil_nothing(root):
    return root / "nowhere"


def spoil_file(root):
    return root / "ant" / "00.png"


def spoil_empty(root):
    (root / "empty").mkdir()
    return root / "empty"


def spoil_train(root):
    (root / "train").mkdir()
    return root


def spoil_one_class(root):
    shutil.rmtree(root / "bee")
    shutil.rmtree(root / "cat")
    return root


def spoil_class(root):
    (root / "dog").mkdir()
    (root / "dog" / "a.webp").write_text("")
    return root


def spoil_val(root):
    shutil.copytree(root, root / "train")
    for name in ("ant", "emu", "fox"):
        save(root / "val" / name / "a.png", ramp())
    return root


def spoil_val_class(root):
    shutil.copytree(root, root / "train")
    (root / "val" / "bee").mkdir(parents=True)
    return root


ERRORS = [
    (spoil_nothing, "/nowhere: there is no such folder; give one that holds a folder of images per class"),
    (spoil_file, "/ant/00.png: there is no such folder"),
    (spoil_empty, "/empty: holds no folders; give one that holds a folder of images per class"),
    (spoil_train, "/train: holds no folders"),
    (spoil_one_class, ": needs a folder of images for each of two classes. Received: ant"),
    (spoil_class, "/dog: holds no image that ends in .jpg, .jpeg, .png; add some, or remove the folder"),
    (spoil_val, "/val: holds classes that are not trained on; "),
    (spoil_val, "Received: emu, fox"),
    (spoil_val_class, "/val/bee: holds no image"),
]


@pytest.mark.parametrize(
    ("spoil", "message"), ERRORS, ids=[f"{n}-{e[0].__name__}" for n, e in enumerate(ERRORS)]
)
def test_folders_that_do_not_do(folder, tmp_path, spoil, message):
    root = spoil(shutil.copytree(folder, tmp_path / "copy"))
    with pytest.raises(InputError) as caught:
        read_class_folders(root)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"scale": (0.0, 1.0)},
            r"scale must be \[least, most\], above 0 and at most 1. Received: \[0.0, 1.0\]",
        ),
        ({"scale": (0.5, 0.4)}, "scale must be"),
        ({"scale": (0.5, 1.1)}, "scale must be"),
        ({"scale": (0.5,)}, "scale must be"),
        ({"flip": 1.5}, "flip must be a probability, 0–1. Received: 1.5"),
    ],
)
def test_augmentation_out_of_its_range(values, message):
    with pytest.raises(InputError, match=message):
        ImageAugmentation(**values)
