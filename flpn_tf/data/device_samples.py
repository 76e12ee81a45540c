"""People → batches of crops and heatmap targets for JAX, without TensorFlow.

1 place     a batch of people, their affines and colours, in numpy                        (sample_transform)
2 load      its photos one by one, in threads: read, decode, turn upright, cut to what the crop shows
3 sample    the batch again, on the device, compiled by XLA: warp, colours, targets       (sample_transform)

Batches are made ahead, so that 1 and 2 go on while the device trains.
"""

import collections
import functools
import itertools
import os
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np

from flpn_tf import geometry
from flpn_tf.codec import HeatmapCodec
from flpn_tf.data import geometry_batch, sample_transform
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.augment_batch import DRAWS
from flpn_tf.data.entries import Entries, Order, other_size, raw_entries
from flpn_tf.data.manifest import PreparedPeople, damaged_shard
from flpn_tf.data.records import People
from flpn_tf.data.tfrecord import prepared_entries
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import decode_image
from flpn_tf.runtime.photo_header import check_pixels, read_header

_THREADS = min(32, os.cpu_count() or 1)
_AHEAD = 4  # batches
_ORDER, _AUGMENTATION = 0, 1  # keep their random numbers apart


def device_batches(
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
) -> Generator[tuple[jax.Array, jax.Array, jax.Array], None, None]:
    """Batches for `fit` on Keras's JAX backend: what `pipeline.training_dataset` is on TensorFlow's.

    As there, what step s yields depends on the arguments alone, a run that starts at `first_step` goes on
    exactly, and each consecutive `len(people)` persons are every person once; the random numbers are others.

    Args:
        people: of `read_people` or `open_people`.
        codec: of the heatmaps, `image_size` / stride.
        image_size: (H, W) of the crops.
        batch_size: of all devices together.
        seed: of order and augmentation, at least 0.
        first_step: batches to skip, at no cost.
        augmentation: None trains on the plain crops.
        padding: of the crop.
        shuffle: False keeps the data set's order.
        repeat: without end; False stops after one pass.
        drop_remainder: with `repeat=False`, leave out a smaller last batch.

    Yields:
        crops (B, H, W, 3) uint8 RGB; heatmaps (B, H / stride, W / stride, K) float32; weights (B, K) float32.
        They are on JAX's default device; Keras spreads them where a `keras.distribution` is set. Its threads
        end with the generator: `close` it, or drop it.

    Raises:
        InputError: now, as `training_dataset`, or prepared people whose shards have changed; from the
            generator, a photo that cannot be read or is not of the stated size, naming it and the person.
    """
    sample_transform.check_samples(people, image_size, augmentation, padding)
    prepared, image_size = isinstance(people, PreparedPeople), tuple(image_size)
    entries = prepared_entries(people) if prepared else raw_entries(people)

    def place(step, chosen):
        """Step 1, and the part of each photo to load."""
        affines, *others = sample_transform.place(
            entries.box[chosen],
            entries.keypoints[chosen],
            uniforms(seed, step, len(chosen)),
            people.skeleton,
            image_size,
            augmentation,
            padding,
        )
        return affines, geometry_batch.shown_rectangle(affines, *image_size), others

    def load(index, affine, rectangle):
        """Step 2: the pixels, and the affine from there to the crop."""
        try:
            photo = _read(entries, index)
        except InputError:
            if prepared and (damage := damaged_shard(people)) is not None:
                raise damage from None
            raise
        part, affine = geometry_batch.cut(photo, affine, rectangle)
        if part.size > 3 * sample_transform.LARGE:
            return geometry.warp(part, affine, *image_size), np.eye(2, 3, dtype=np.float32)
        return part.copy(), affine  # not a view, which would keep the whole photo

    def sample(loaded, others):
        """Step 3."""
        parts, affines = zip(*(future.result() for future in loaded), strict=True)
        return _compiled(codec, image_size)(*_packed(parts), np.stack(affines), *others)

    order = Order(batch_size, seed, first_step, shuffle, repeat, drop_remainder)
    return _ahead(_steps(order, len(people)), place, load, sample)


def uniforms(seed: int, step: int, count: int) -> np.ndarray:
    """(count, DRAWS) float32 in [0, 1), a function of seed and step alone."""
    return _generator(seed, _AUGMENTATION, step).random((count, DRAWS), np.float32)


def _generator(seed: int, purpose: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, purpose], counter=[0, 0, 0, number]))


def _steps(order: Order, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """(step, who is in its batch), of `count` people; any place of the order can be computed by itself."""

    @functools.lru_cache(maxsize=2)
    def one_pass(number):
        return _generator(order.seed, _ORDER, number).permutation(count)

    for step in itertools.count(order.first):
        places = np.arange(step * order.batch_size, (step + 1) * order.batch_size)
        if not order.repeat:
            places = places[places < count]
            if len(places) < (order.batch_size if order.drop_remainder else 1):
                return
        if order.shuffle:
            chosen = [one_pass(place // count)[place % count] for place in places.tolist()]
            yield step, np.array(chosen)
        else:
            yield step, places % count


def _ahead(steps, place, load, sample) -> Generator:
    """The batches, made by threads up to _AHEAD before they are asked for."""
    photos, batches = ThreadPoolExecutor(_THREADS, "photos"), ThreadPoolExecutor(1, "batches")
    waiting: collections.deque[Future] = collections.deque()
    try:
        for step, chosen in steps:
            affines, rectangles, others = place(step, chosen)
            loaded = [photos.submit(load, *one) for one in zip(chosen, affines, rectangles, strict=True)]
            waiting.append(batches.submit(sample, loaded, others))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # First the photos: a batch that waits for one is then told that it won't come.
        photos.shutdown(cancel_futures=True)
        batches.shutdown(cancel_futures=True)


def _read(entries: Entries, index: int) -> np.ndarray:
    """One person's photo, upright."""
    name, photo = entries.name[index].decode(errors="replace"), entries.photo[index]
    try:
        content = photo.read()
        header = read_header(content)
        if header is not None:
            check_pixels(header.width, header.height, name)  # before memory for them is taken
        pixels = decode_image(content, name)
    except OSError as error:
        raise InputError(f"Cannot read the image {name}: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"{error}; flpn data check lists such photos") from error
    stated = tuple(entries.size[index].tolist())
    if any(stated) and pixels.shape[:2] != stated:
        raise other_size(name, pixels.shape[:2], stated)
    return pixels


def _packed(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pixels, starts, sizes) of `warp_packed`."""
    sizes = np.array([part.shape[:2] for part in parts], np.int32)
    ends = np.cumsum(sizes.prod(axis=1))
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int32)
    lengths = sample_transform.PACKED_LENGTHS
    pixels = np.zeros((lengths[np.searchsorted(lengths, ends[-1])], 3), np.uint8)
    for part, start, end in zip(parts, starts, ends, strict=True):
        pixels[start:end] = part.reshape(-1, 3)
    return pixels, starts, sizes


@functools.cache
def _compiled(codec: HeatmapCodec, image_size: tuple[int, int]):
    """Step 3, kept, so that a second data set does not compile it again."""
    # Two programs: in one, XLA computes a point in two loops, with another rounding in each, and now and then
    # weights the neighbours of 5.0000001 as those of 4.9999999.
    find = jax.jit(lambda affines: geometry_batch.crop_points(affines, *image_size))
    finish = jax.jit(functools.partial(sample_transform.sample, codec))

    def sample(pixels, starts, sizes, affines, *others):
        return finish(pixels, starts, sizes, find(affines), *others)

    return sample
