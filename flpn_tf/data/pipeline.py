"""People → batches of crops and heatmap targets, as a tf.data pipeline without Python in it.

1 place     a batch of people, their affines and colours: a few operations     (streams, sample_transform)
2 decode    its photos one by one, in parallel: read, decode, turn upright                      (photo_tf)
3 sample    the batch again, compiled by XLA: warp, colours, targets                    (sample_transform)

`device_samples` is the same for JAX.
"""

import functools

import tensorflow as tf

from flpn_tf.codec import HeatmapCodec
from flpn_tf.data import geometry_batch, sample_transform
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.augment_batch import DRAWS
from flpn_tf.data.entries import Order, other_size
from flpn_tf.data.manifest import PreparedPeople, damaged_shard
from flpn_tf.data.photo_tf import decode_upright, warp
from flpn_tf.data.records import People
from flpn_tf.data.sample_transform import LARGE
from flpn_tf.data.streams import stream
from flpn_tf.errors import InputError

# Keeps the random numbers of the augmentation apart from those of the order.
_STREAM = 1


def training_dataset(
    people: People | PreparedPeople,
    codec: HeatmapCodec,
    image_size: tuple[int, int],
    batch_size: int,
    seed: int = 0,
    first_step: int = 0,
    augmentation: Augmentation | None = None,
    padding: float = 1.25,
    shuffle: bool = True,
    repeat: bool = True,
    drop_remainder: bool = True,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches for `fit`.

    What step s yields depends on the arguments alone, not on the number of threads, so a run that starts at
    `first_step` sees exactly what an uninterrupted one would have seen from there. Each consecutive
    `len(people)` persons are every person once.

    Args:
        people: of `read_people` or `open_people`.
        codec: of the heatmaps, `image_size` / stride.
        image_size: (H, W) of the crops.
        batch_size: of all workers together.
        seed: of order and augmentation.
        first_step: batches to skip; of raw photos at no cost, of shards at that of reading over them.
        augmentation: None trains on the plain crops.
        padding: of the crop.
        shuffle: False keeps the data set's order.
        repeat: without end; False stops after one pass.
        drop_remainder: with `repeat=False`, leave out a smaller last batch.
        shard: (index, count) of this worker; it gets its part of each batch, so that `count` workers
            together see what one would see. `count` must divide the batch size.

    Yields:
        crops (B, H, W, 3) uint8 RGB; heatmaps (B, H / stride, W / stride, K) float32; weights (B, K) float32.
        What cannot be read raises a `tf.errors.OpError`; `explain` says of which photo or shard.

    Raises:
        InputError: an augmentation that the prepared crops don't reach, a skeleton without two halves for
            `half_body`, or a batch that `shard` does not divide.
    """
    height, width = image_size
    index, count = shard
    if not 0 <= index < count or batch_size % count:
        raise InputError(
            f"shard must be (index, count) with index below count, and count a divisor of the batch size "
            f"{batch_size}. Received: {shard}"
        )
    sample_transform.check_samples(people, image_size, augmentation, padding)
    order = Order(batch_size, seed, first_step, shuffle, repeat, drop_remainder)

    def place(step, entries):
        """Step 1: where each person's pixels and joints go."""
        part = slice(index * (batch_size // count), (index + 1) * (batch_size // count))
        size = tf.shape(entries.box)[0]
        affines, colours, points, visible = sample_transform.place(
            entries.box,
            entries.keypoints,
            uniforms(seed, step, size),
            people.skeleton,
            image_size,
            augmentation,
            padding,
        )
        if colours is None:
            colours = tf.zeros(size)  # tf.data has no None
        values = entries.photo, entries.size, affines, colours, points, visible
        return tuple(value[part] for value in values)

    def decode(photo, size, affine, *others):
        """Step 2: the photo's pixels in a row, and its size."""
        pixels = decode_upright(_content(people, photo))
        with tf.control_dependencies([tf.debugging.Assert(_is_size(pixels, size), ["another size"])]):
            pixels = tf.identity(pixels)
        pixels, affine = tf.cond(
            tf.size(pixels) > 3 * LARGE,
            lambda: _shown(pixels, affine, height, width),
            lambda: (pixels, affine),
        )
        return tf.reshape(pixels, (-1, 3)), tf.shape(pixels)[:2], affine, *others

    def sample(pixels, sizes, affines, colours, points, visible):
        """Step 3."""
        starts = tf.cast(pixels.row_splits[:-1], tf.int32)
        colours = colours if augmentation is not None and augmentation.changes_colours else None
        return _compiled(codec, (height, width))(
            _padded(pixels.values), starts, sizes, affines, colours, points, visible
        )

    batches = stream(people, order).enumerate(start=first_step).map(place)
    photos = batches.unbatch().map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    photos = photos.ragged_batch(batch_size // count, drop_remainder=drop_remainder)
    options = tf.data.Options()
    # `shard` is the way to split over workers; splitting the files would repeat or lose people.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    samples = photos.map(sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return samples.prefetch(tf.data.AUTOTUNE).with_options(options)


def uniforms(seed: int, step, count) -> tf.Tensor:
    """(count, DRAWS) float32 in [0, 1), a function of seed and step alone."""
    stream = tf.constant([seed, _STREAM], tf.int64)
    key = tf.random.experimental.stateless_fold_in(stream, tf.cast(step, tf.int64))
    return tf.random.stateless_uniform((count, DRAWS), key)


@functools.cache
def _compiled(codec: HeatmapCodec, image_size: tuple[int, int]):
    """Step 3 as one XLA program; kept, so that a second data set does not compile it again."""

    @tf.function(jit_compile=True, autograph=False)
    def sample(pixels, starts, sizes, affines, *others):
        crop_points = geometry_batch.crop_points(affines, *image_size)
        return sample_transform.sample(codec, pixels, starts, sizes, crop_points, *others)

    return sample


def _padded(pixels):
    """(N, 3) with black pixels behind, to one of few lengths."""
    lengths, count = tf.constant(sample_transform.PACKED_LENGTHS), tf.shape(pixels)[0]
    length = lengths[tf.searchsorted(lengths, [count])[0]]
    return tf.pad(pixels, [[0, length - count], [0, 0]])


def _content(people, photo):
    """The bytes of an entry's photo."""
    return photo if isinstance(people, PreparedPeople) else tf.io.read_file(photo)


def _shown(photo, affine, height, width):
    """What a crop shows of a large photo: the part around it, or where that is large too, the crop."""
    rectangle = geometry_batch.shown_rectangle(affine[tf.newaxis], height, width)[0]
    part, affine = geometry_batch.cut(photo, affine, rectangle)
    return tf.cond(
        tf.size(part) > 3 * LARGE,
        lambda: (warp(part, affine, height, width), tf.eye(2, 3)),
        lambda: (part, affine),
    )


def explain(
    people: People | PreparedPeople, batch_size: int, seed: int = 0, first_step: int = 0
) -> InputError | None:
    """Finds the photo or shard behind an error of `training_dataset`, or None where neither is to blame.

    TensorFlow's own message names no file, so the people are gone through again in the data set's order of
    training from `first_step` on, for one pass.
    """
    if isinstance(people, PreparedPeople) and (damage := damaged_shard(people)) is not None:
        return damage
    entries = stream(people, Order(batch_size, seed, first_step)).unbatch().take(len(people))
    for entry in entries:
        name, photo = entry.name.numpy().decode(errors="replace"), entry.photo
        try:
            pixels = decode_upright(_content(people, photo))
        except tf.errors.OpError as failure:
            return InputError(
                f"{name}: the photo cannot be decoded ({_reason(failure)}); flpn data check lists such photos"
            )
        if not _is_size(pixels, entry.size):
            return other_size(name, pixels.shape[:2], entry.size.numpy())
    return None


def _is_size(pixels, stated):
    """Whether (H, W, 3) pixels have the stated (height, width); any size will do where it is 0."""
    return tf.reduce_all((stated == 0) | (tf.shape(pixels)[:2] == stated))


def _reason(error: tf.errors.OpError) -> str:
    """The first sentence of TensorFlow's message, without its graph."""
    text = " ".join(error.message.split())
    return text.split("[Op:")[0].split("{{")[-1].split("}}")[-1].strip()[:200]
