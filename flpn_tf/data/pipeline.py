"""People → batches of crops and heatmap targets, as a tf.data pipeline without Python in it.

1 entries   a batch of people, their affines and colours: a few small operations      (streams, augment_tf)
2 photos    one by one, in parallel: read, decode, turn upright                        (photo_tf)
3 samples   the batch again, compiled by XLA: warp, colours, targets                   (geometry_tf, codec_tf)
"""

import functools

import tensorflow as tf

from flpn_tf.codec import HeatmapCodec
from flpn_tf.data import augment_tf, codec_tf, geometry_tf
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.manifest import PreparedPeople, damaged_shard
from flpn_tf.data.photo_tf import decode_upright
from flpn_tf.data.records import People
from flpn_tf.data.streams import Order, stream
from flpn_tf.errors import InputError

# A photo of more pixels is cut to what the crop shows, so that a batch's photos fit into memory together.
_LARGE = 1 << 20


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
    skeleton = people.skeleton
    if not 0 <= index < count or batch_size % count:
        raise InputError(
            f"shard must be (index, count) with index below count, and count a divisor of the batch size "
            f"{batch_size}. Received: {shard}"
        )
    if isinstance(people, PreparedPeople):
        people.check_augmentation(augmentation)
        people.check_crop(image_size, padding)
    halves = skeleton.lower_body
    if augmentation is not None and augmentation.half_body and (halves.all() or not halves.any()):
        raise InputError(
            f"augmentation.half_body needs joints above and below the hips. Received: {skeleton.names}"
        )
    mirrored = tf.constant(skeleton.flip_permutation)
    order = Order(batch_size, seed, first_step, shuffle, repeat, drop_remainder)

    def place(step, entries):
        """Step 1: where each person's pixels and joints go."""
        part = slice(index * (batch_size // count), (index + 1) * (batch_size // count))
        size = tf.shape(entries.box)[0]
        boxes, keypoints = entries.box, entries.keypoints
        motion, colours = None, tf.zeros((size, 3, 4))
        if augmentation is not None:
            numbers = augment_tf.uniforms(seed, step, size)
            motion = augment_tf.draw_motion(augmentation, numbers)
            if augmentation.half_body:
                boxes = augment_tf.half_bodies(augmentation, numbers, boxes, keypoints, skeleton, padding)
            keypoints = tf.where(
                motion.flip[:, tf.newaxis, tf.newaxis], tf.gather(keypoints, mirrored, axis=1), keypoints
            )
            if augmentation.changes_colours:
                colours = augment_tf.draw_colours(augmentation, numbers)
        affines = geometry_tf.crop_affine(boxes, height, width, padding, motion)
        points = geometry_tf.transform_points(keypoints[..., :2], affines)
        values = entries.photo, entries.size, affines, colours, points, keypoints[..., 2]
        return tuple(value[part] for value in values)

    def decode(photo, size, affine, colours, points, visible):
        """Step 2: the photo's pixels in a row, and its size."""
        encoded = photo if isinstance(people, PreparedPeople) else tf.io.read_file(photo)
        pixels = decode_upright(encoded)
        with tf.control_dependencies([tf.debugging.Assert(_is_size(pixels, size), ["another size"])]):
            pixels = tf.identity(pixels)
        pixels, affine = tf.cond(
            tf.size(pixels) > 3 * _LARGE,
            lambda: _shown(pixels, affine, height, width),
            lambda: (pixels, affine),
        )
        return tf.reshape(pixels, (-1, 3)), tf.shape(pixels)[:2], affine, colours, points, visible

    def sample(pixels, sizes, affines, colours, points, visible):
        """Step 3."""
        starts = tf.cast(pixels.row_splits[:-1], tf.int32)
        colours = colours if augmentation is not None and augmentation.changes_colours else None
        return _compiled(codec, height, width)(
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


@functools.cache
def _compiled(codec: HeatmapCodec, height: int, width: int):
    """The last step as one XLA program; kept, so that a second data set does not compile it again."""

    @tf.function(jit_compile=True, autograph=False)
    def sample(pixels, starts, sizes, affines, colours, points, visible):
        crops = geometry_tf.warp_packed(pixels, starts, sizes, affines, height, width, colours)
        return crops, *codec_tf.encode(codec, points, visible)

    return sample


def _padded(pixels):
    """(N, 3) with black pixels behind: XLA compiles anew for each length, so there must be few."""
    count = tf.shape(pixels)[0]
    # Steps of a quarter of the power of 2 at or below.
    power = tf.math.floor(tf.math.log(tf.cast(count, tf.float64)) / tf.math.log(tf.constant(2.0, tf.float64)))
    step = tf.maximum(tf.bitwise.left_shift(1, tf.cast(power, tf.int32)) // 4, 1 << 14)
    return tf.pad(pixels, [[0, -count % step], [0, 0]])


def _shown(photo, affine, height, width):
    """What a crop shows of a large photo: the window around it, or where that is large too, the crop."""
    corners = tf.constant([[[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]]], tf.float32)
    corners = geometry_tf.transform_points(corners, geometry_tf.invert_affine(affine)[tf.newaxis])[0]
    size = tf.cast(tf.reverse(tf.shape(photo)[:2], [0]), tf.float32)
    low = tf.clip_by_value(tf.reduce_min(corners, axis=0) - 2, 0.0, size - 1)
    high = tf.clip_by_value(tf.reduce_max(corners, axis=0) + 2, low + 1, size)
    start, stop = tf.cast(tf.floor(low), tf.int32), tf.cast(tf.math.ceil(high), tf.int32)

    def window():
        shift = tf.linalg.matvec(affine[:, :2], tf.cast(start, tf.float32))[:, tf.newaxis]
        moved = affine + tf.concat([tf.zeros((2, 2)), shift], axis=1)
        return photo[start[1] : stop[1], start[0] : stop[0]], moved

    def crop():
        return geometry_tf.warp(photo, affine, height, width), tf.eye(2, 3)

    return tf.cond(tf.reduce_prod(stop - start) > _LARGE, crop, window)


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
            pixels = decode_upright(photo if isinstance(people, PreparedPeople) else tf.io.read_file(photo))
        except tf.errors.OpError as failure:
            return InputError(
                f"{name}: the photo cannot be decoded ({_reason(failure)}); flpn data check lists such photos"
            )
        if not _is_size(pixels, entry.size):
            (height, width), (stated_height, stated_width) = pixels.shape[:2], entry.size.numpy()
            return InputError(
                f"{name}: the photo is {width}x{height} upright, its annotations say "
                f"{stated_width}x{stated_height}; flpn data check lists such photos"
            )
    return None


def _is_size(pixels, stated):
    """Whether (H, W, 3) pixels have the stated (height, width); any size will do where it is 0."""
    return tf.reduce_all((stated == 0) | (tf.shape(pixels)[:2] == stated))


def _reason(error: tf.errors.OpError) -> str:
    """The first sentence of TensorFlow's message, without its graph."""
    text = " ".join(error.message.split())
    return text.split("[Op:")[0].split("{{")[-1].split("}}")[-1].strip()[:200]
