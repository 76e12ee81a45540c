"""PersonRecords → batches of crops and heatmap targets, as a tf.data pipeline."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from flpn_tf.codec import HeatmapCodec
from flpn_tf.data import codec_tf, geometry_tf
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.records import PersonRecord
from flpn_tf.skeleton import Skeleton

# Keeps the random numbers of the augmentation apart from those of the order.
_AUGMENTATION_STREAM = 1


def _decode(path):
    """(H, W, 3) uint8; the accurate DCT equals OpenCV's decoder, so training sees what inference sees."""
    data = tf.io.read_file(path)
    return tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )


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
    `first_step` sees exactly what an uninterrupted one would have seen from there.

    Args:
        codec: of the heatmaps, `image_size` / stride.
        image_size: (H, W) of the crops.
        first_step: batches to skip, at no cost.
        augmentation: None trains on the plain crops.

    Yields:
        crops (B, H, W, 3) uint8 RGB; heatmaps (B, H / 4, W / 4, K) float32; weights (B, K) float32.
    """
    height, width = image_size
    count = len(records)
    paths = tf.constant([str(r.image) for r in records])
    boxes = tf.constant(np.stack([r.box for r in records]), tf.float32)
    keypoints = tf.constant(np.stack([r.keypoints for r in records]), tf.float32)
    mirrored = tf.constant(skeleton.flip_permutation)

    def person(step):
        epoch, position = step // count, step % count
        order_seed = tf.stack([tf.constant(seed, tf.int64), epoch])
        index = tf.random.experimental.index_shuffle(position, tf.cast(order_seed, tf.int32), count - 1)
        rotation, scale, flip = 0.0, 1.0, tf.constant(False)
        if augmentation is not None:
            stream = tf.constant([seed, _AUGMENTATION_STREAM], tf.int64)
            rotation, scale, flip = augmentation.sample(
                tf.random.experimental.stateless_fold_in(stream, step)
            )
        affine = geometry_tf.crop_affine(boxes[index], height, width, padding, rotation, scale, flip)
        joints = keypoints[index]
        joints = tf.where(flip, tf.gather(joints, mirrored), joints)
        points = geometry_tf.transform_points(joints[:, :2], affine)
        crop = geometry_tf.warp(_decode(paths[index]), affine, height, width)
        return crop, points, joints[:, 2]

    def targets(crops, points, visible):
        heatmaps, weights = codec_tf.encode(codec, points, visible)
        return crops, heatmaps, weights

    first = first_step * batch_size
    steps = tf.data.Dataset.range(first, np.iinfo(np.int64).max)
    crops = steps.map(person, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return crops.batch(batch_size, drop_remainder=True).map(targets).prefetch(tf.data.AUTOTUNE)
