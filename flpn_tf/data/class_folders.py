"""A folder of images per class → batches of crops and labels, as a tf.data pipeline without Python in it."""

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from flpn_tf.data.photo_tf import decode_upright
from flpn_tf.data.streams import shuffled
from flpn_tf.errors import InputError
from flpn_tf.runtime.files import PICTURE_SUFFIXES
from flpn_tf.runtime.photo_header import MAX_PIXELS

# Keep the random numbers of the order apart from those of the augmentation.
_ORDER, _AUGMENTATION = 0xC1A55, 2
_DRAWS = 5  # area, aspect, x, y and flip of a random crop
# Szegedy et al. 2015, "Going Deeper with Convolutions", section 6.
_MAX_ASPECT = 4 / 3
# The share of the sides that is measured on: 224 pixels of 256 (Krizhevsky et al. 2012).
_CENTRAL = 0.875


@dataclass(frozen=True)
class ImageAugmentation:
    """Random resized crops (Szegedy et al. 2015); every draw is uniform.

    Attributes:
        scale: the crop's share of the image's area is in [least, most]; its aspect is in 3/4–4/3 of the
            network's, uniform in its logarithm. Sides longer than the image's are cut to them.
        flip: probability of a mirrored crop.

    Raises:
        InputError: a value out of its range.
    """

    scale: tuple[float, ...] = (0.08, 1.0)
    flip: float = 0.5

    def __post_init__(self):
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise InputError(
                f"scale must be [least, most], above 0 and at most 1. Received: {list(self.scale)}"
            )
        if not 0 <= self.flip <= 1:
            raise InputError(f"flip must be a probability, 0–1. Received: {self.flip}")


@dataclass(frozen=True)
class ClassImages:
    """Images, N of them, each of one class.

    Attributes:
        source: the folder of the class folders.
        classes: their names; a class's place is its label.
        paths: (N,) encoded file names, by class, then by name.
        labels: (N,) int32.
    """

    source: Path
    classes: tuple[str, ...]
    paths: list[bytes]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def sha256(self) -> str:
        """Of the names, class and file, not of what the files hold."""
        separator = os.fsencode(os.sep)
        names = (b"/".join(path.split(separator)[-2:]) for path in self.paths)
        return hashlib.sha256(b"\0".join(names)).hexdigest()


def read_class_folders(folder) -> tuple[ClassImages, ClassImages | None]:
    """The images to train on, and those to measure on or None.

    Args:
        folder: with a folder of JPEGs or PNGs per class, or with `train/` and perhaps `val/` that have these.

    Raises:
        InputError: no such folder, fewer than two classes, a class without images, or one in `val/` that
            `train/` has not.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder; give one that holds a folder of images per class")
    if not (root / "train").is_dir():
        return _read(root), None
    training = _read(root / "train")
    return training, _read(root / "val", training.classes) if (root / "val").is_dir() else None


def _read(folder: Path, known: tuple[str, ...] | None = None) -> ClassImages:
    found = _names(folder, os.DirEntry.is_dir)
    if not found:
        raise InputError(f"{folder}: holds no folders; give one that holds a folder of images per class")
    if known is None and len(found) < 2:
        raise InputError(f"{folder}: needs a folder of images for each of two classes. Received: {found[0]}")
    classes = known or tuple(found)
    if unknown := [name for name in found if name not in classes]:
        raise InputError(
            f"{folder}: holds classes that are not trained on; remove them or add them to the training "
            f"images. Received: {', '.join(unknown)}"
        )
    paths, labels = [], []
    for name in found:
        images = [file for file in _names(folder / name, os.DirEntry.is_file) if _is_picture(file)]
        if not images:
            raise InputError(
                f"{folder / name}: holds no image that ends in {', '.join(PICTURE_SUFFIXES)}; add some, or "
                "remove the folder"
            )
        paths += [os.fsencode(folder / name / image) for image in images]
        labels += [classes.index(name)] * len(images)
    return ClassImages(folder, classes, paths, np.array(labels, np.int32))


def _names(folder: Path, is_wanted) -> list[str]:
    """Sorted, since file systems have orders of their own; without hidden ones, which no user has made."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name for entry in entries if not entry.name.startswith(".") and is_wanted(entry)
            )
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from error


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURE_SUFFIXES)


def training_batches(
    images: ClassImages,
    image_size: tuple[int, int],
    batch_size: int,
    augmentation: ImageAugmentation,
    seed: int = 0,
    first_step: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches for `fit`, without end.

    What step s yields depends on the arguments alone, not on the number of threads, so a run that starts at
    `first_step` sees exactly what an uninterrupted one would have seen from there. Each consecutive
    `len(images)` images are every image once.

    Args:
        image_size: (H, W) of the crops.
        batch_size: of all workers together.
        seed: of order and augmentation.
        first_step: batches to skip, at no cost.
        shard: (index, count) of this worker; it gets its part of each batch, so that `count` workers
            together see what one would see. `count` must divide the batch size.

    Yields:
        crops (B, H, W, 3) uint8 RGB and labels (B,) int32. What cannot be read raises a `tf.errors.OpError`;
        `unreadable` says which image.
    """
    index, count = shard
    part = slice(index * (batch_size // count), (index + 1) * (batch_size // count))

    def draw(step, paths, labels):
        key = tf.random.experimental.stateless_fold_in(tf.constant([seed, _AUGMENTATION], tf.int64), step)
        numbers = tf.random.stateless_uniform((batch_size, _DRAWS), key)
        return paths[part], labels[part], numbers[part]

    def sample(path, label, numbers):
        photo = decode_upright(tf.io.read_file(path))
        top, left, height, width = _random_box(photo, image_size, augmentation.scale, numbers)
        crop = _resized(photo[top : top + height, left : left + width], image_size)
        crop = tf.cond(numbers[4] < augmentation.flip, lambda: crop[:, ::-1], lambda: crop)
        return crop, label

    entries = _in_training_order(images, batch_size, seed, first_step)
    samples = entries.enumerate(first_step).map(lambda step, entry: draw(step, *entry)).unbatch()
    samples = samples.map(sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    options = tf.data.Options()
    # `shard` is the way to split over workers; splitting the images would repeat or lose some.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    batches = samples.batch(batch_size // count, drop_remainder=True)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def validation_batches(images: ClassImages, image_size: tuple[int, int], batch_size: int) -> tf.data.Dataset:
    """One pass over all images in their order; yields as `training_batches`, the last batch perhaps smaller.

    The crop is the largest centred one of the network's aspect, 7/8 of its sides.
    """

    def sample(path, label):
        photo = decode_upright(tf.io.read_file(path))
        size = tf.cast(tf.shape(photo)[:2], tf.float32)
        scale = _CENTRAL * tf.reduce_min(size / image_size)
        sides = tf.maximum(tf.cast(tf.round(scale * image_size), tf.int32), 1)
        top, left = tf.unstack((tf.shape(photo)[:2] - sides) // 2)
        return _resized(photo[top : top + sides[0], left : left + sides[1]], image_size), label

    entries = tf.data.Dataset.from_tensor_slices((tf.constant(images.paths), images.labels))
    samples = entries.map(sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return samples.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def unreadable(
    images: ClassImages, batch_size: int = 1, seed: int = 0, first_step: int = 0
) -> InputError | None:
    """Finds the image behind an error of a pipeline, or None where all can be read.

    TensorFlow's own message names no file, so the images are read again in the order of training from
    `first_step` on, for one pass.
    """
    order = _in_training_order(images, batch_size, seed, first_step).unbatch().take(len(images))
    photos = order.map(
        lambda path, label: tf.size(decode_upright(tf.io.read_file(path))),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    read = 0
    try:
        for _ in photos:
            read += 1
    except tf.errors.OpError:
        path = os.fsdecode(next(order.skip(read).as_numpy_iterator())[0])
        return InputError(
            f"{path}: cannot be read as a JPEG or PNG of at most {MAX_PIXELS:,} pixels; put a good image in "
            "its place"
        )
    return None


def _in_training_order(images: ClassImages, batch_size: int, seed: int, first_step: int) -> tf.data.Dataset:
    """Batches of (paths, labels); any place of the order can be computed by itself."""
    paths, labels = tf.constant(images.paths), tf.constant(images.labels)

    def entries(places):
        index = shuffled(places, len(images), seed, _ORDER)
        return tf.gather(paths, index), tf.gather(labels, index)

    places = tf.data.Dataset.range(first_step * batch_size, np.iinfo(np.int64).max)
    return places.batch(batch_size, drop_remainder=True).map(entries)


def _random_box(photo, image_size, scale, numbers):
    """(top, left, height, width) int32 of a random part of a photo, at least a pixel."""
    size = tf.cast(tf.shape(photo)[:2], tf.float32)
    least, most = scale
    area = tf.reduce_prod(size) * (least + numbers[0] * (most - least))
    height, width = image_size
    aspect = width / height * tf.exp((2 * numbers[1] - 1) * math.log(_MAX_ASPECT))
    sides = tf.sqrt(tf.stack([area / aspect, area * aspect]))
    sides = tf.clip_by_value(tf.round(sides), 1, size)
    corner = tf.floor(numbers[3:1:-1] * (size - sides + 1))
    return tf.unstack(tf.cast(tf.concat([corner, sides], axis=0), tf.int32))


def _resized(photo, image_size):
    """(H, W, 3) uint8, bilinear; averaged where that would leave out pixels, which takes longer."""
    crop = tf.cond(
        tf.reduce_all(tf.shape(photo)[:2] <= [2 * side for side in image_size]),
        lambda: tf.image.resize(photo, image_size),
        lambda: tf.image.resize(photo, image_size, antialias=True),
    )
    return tf.ensure_shape(tf.saturate_cast(tf.round(crop), tf.uint8), (*image_size, 3))
