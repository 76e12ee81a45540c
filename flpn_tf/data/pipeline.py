"""PersonRecords → batches of crops and heatmap targets, as a tf.data pipeline."""

import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from flpn_tf.codec import HeatmapCodec
from flpn_tf.data import codec_tf, geometry_tf
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.records import PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import read_image
from flpn_tf.skeleton import Skeleton

# Keeps the random numbers of the augmentation apart from those of the order.
_AUGMENTATION_STREAM = 1


def training_dataset(
    records: Sequence[PersonRecord],
    skeleton: Skeleton,
    codec: HeatmapCodec,
    image_size: tuple[int, int],
    batch_size: int,
    seed: int = 0,
    first_step: int = 0,
    augmentation: Augmentation | None = None,
    padding: float = 1.25,
) -> tf.data.Dataset:
    """Endless shuffled batches for `fit`.

    Order and augmentation of step s depend on `seed` and s alone, so a run that starts at
    `first_step` sees exactly what an uninterrupted one would have seen from there. Each consecutive
    `len(records)` persons are every person once.

    Photos are decoded by `read_image`, not by TensorFlow: training then sees the pixels that inference
    sees, turned upright by their EXIF orientation, from the same formats.

    Args:
        codec: of the heatmaps, `image_size` / stride.
        image_size: (H, W) of the crops.
        first_step: batches to skip, at no cost.
        augmentation: None trains on the plain crops.

    Yields:
        crops (B, H, W, 3) uint8 RGB; heatmaps (B, H / 4, W / 4, K) float32; weights (B, K) float32.
        A photo that cannot be decoded raises `tf.errors.InvalidArgumentError`; see `photo_error`.
    """
    height, width = image_size
    count = len(records)
    boxes = tf.constant(np.stack([r.box for r in records]), tf.float32)
    keypoints = tf.constant(np.stack([r.keypoints for r in records]), tf.float32)
    mirrored = tf.constant(skeleton.flip_permutation)

    def photo(index):
        return read_image(records[index].image)

    def person(step):
        epoch, position = step // count, step % count
        order_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
        index = tf.random.experimental.index_shuffle(position, tf.cast(order_seed, tf.int32), count - 1)
        rotation, scale, flip = 0.0, 1.0, tf.constant(False)
        if augmentation is not None:
            stream = tf.constant([seed, _AUGMENTATION_STREAM], tf.int64)
            rotation, scale, flip = sample(
                augmentation, tf.random.experimental.stateless_fold_in(stream, step)
            )
        affine = geometry_tf.crop_affine(boxes[index], height, width, padding, rotation, scale, flip)
        joints = keypoints[index]
        joints = tf.where(flip, tf.gather(joints, mirrored), joints)
        points = geometry_tf.transform_points(joints[:, :2], affine)
        image = tf.ensure_shape(tf.numpy_function(photo, [index], tf.uint8), (None, None, 3))
        return geometry_tf.warp(image, affine, height, width), points, joints[:, 2]

    def targets(crops, points, visible):
        heatmaps, weights = codec_tf.encode(codec, points, visible)
        return crops, heatmaps, weights

    first = first_step * batch_size
    steps = tf.data.Dataset.range(first, np.iinfo(np.int64).max)
    crops = steps.map(person, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return crops.batch(batch_size, drop_remainder=True).map(targets).prefetch(tf.data.AUTOTUNE)


def sample(augmentation: Augmentation, seed):
    """(rotation in degrees, scale, flip) as scalar tensors.

    Args:
        augmentation: the ranges.
        seed: (2,) int tensor; the same seed gives the same sample.
    """
    rotation, scale, coin = tf.unstack(tf.random.stateless_uniform((3,), seed))
    rotation = (2 * rotation - 1) * augmentation.rotation
    return rotation, 1 + (2 * scale - 1) * augmentation.scale, coin < augmentation.flip


def photo_error(error: tf.errors.OpError) -> InputError | None:
    """The InputError of `read_image` inside an error of the dataset, or None where it is another."""
    # TensorFlow carries an exception of Python through its graph as "ClassName: message".
    found = re.search(rf"\b{InputError.__name__}: (.+)", error.message)
    return InputError(found[1]) if found else None
