"""The people of a data set in training order, photos still encoded: raw files or prepared shards."""

import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from flpn_tf.data import shards
from flpn_tf.data.manifest import PreparedPeople
from flpn_tf.data.records import People

_KEY = 0x5EED  # of the order


class Entries(NamedTuple):
    """A batch of people.

    Attributes:
        name: (B,) string, photo and person for messages.
        photo: (B,) string, the content of a JPEG or PNG; of raw people the file's path.
        box: (B, 4) float32 [x, y, w, h], photo pixels.
        keypoints: (B, K, 3) float32 (x, y, v), photo pixels.
        size: (B, 2) int32, the (height, width) that the annotations state; 0 where they don't.
    """

    name: tf.Tensor
    photo: tf.Tensor
    box: tf.Tensor
    keypoints: tf.Tensor
    size: tf.Tensor


class Order(NamedTuple):
    """Which people come when.

    Attributes:
        batch_size: people a batch.
        seed: of the shuffling.
        first: batches to skip.
        shuffle: False keeps the data set's order.
        repeat: pass after pass without end; False stops after one pass.
        drop_remainder: leave out the last batch of the one pass where it is smaller.
    """

    batch_size: int
    seed: int = 0
    first: int = 0
    shuffle: bool = True
    repeat: bool = True
    drop_remainder: bool = True


def stream(people: People | PreparedPeople, order: Order) -> tf.data.Dataset:
    """Batches of `Entries`; which ones depends on `order` alone, and each pass has every person once."""
    if isinstance(people, PreparedPeople):
        return _prepared(people, order)
    return _raw(people, order)


def _raw(people: People, order: Order) -> tf.data.Dataset:
    """Any place of the order can be computed by itself, so skipping costs nothing."""
    count = len(people)
    names = tf.constant([_name(record.image, record.person_id) for record in people.records])
    photos = tf.constant([os.fsencode(record.image) for record in people.records])
    boxes = tf.constant(np.stack([record.box for record in people.records]), tf.float32)
    keypoints = tf.constant(np.stack([record.keypoints for record in people.records]), tf.float32)

    sizes = tf.constant([(record.image_size or (0, 0))[::-1] for record in people.records], tf.int32)

    def entries(places):
        index = places % count
        if order.shuffle:
            passes = tf.cast(places // count, tf.int32)
            same = tf.ones_like(passes)
            key = tf.stack([order.seed * same, passes, _KEY * same], axis=1)
            # `tf.random.experimental.index_shuffle` takes many indices, but not a seed for each; its 4 rounds
            # leave small data sets, and any under a key of zeros, half sorted.
            index = tf.raw_ops.RandomIndexShuffle(index=index, seed=key, max_index=count - 1, rounds=8)
        return Entries(*(tf.gather(values, index) for values in (names, photos, boxes, keypoints, sizes)))

    end = np.iinfo(np.int64).max if order.repeat else count
    places = tf.data.Dataset.range(order.first * order.batch_size, end)
    return places.batch(order.batch_size, drop_remainder=order.drop_remainder).map(entries)


def _name(photo, person) -> bytes:
    # A file's name need not be UTF-8.
    return f"{photo}, person {person}".encode(errors="backslashreplace")


def _prepared(people: PreparedPeople, order: Order) -> tf.data.Dataset:
    start = order.first * order.batch_size

    # The preparation has compared the sizes.
    unstated = tf.zeros(2, tf.int32)

    @tf.autograph.experimental.do_not_convert
    def one_pass(number):
        return shards.read_pass(people, number, order.seed if order.shuffle else None)

    if order.repeat:
        passes = tf.data.Dataset.range(start // people.people, np.iinfo(np.int64).max)
        entries = passes.flat_map(one_pass).skip(start % people.people)
    else:
        entries = one_pass(tf.constant(0, tf.int64)).skip(start)
    return entries.map(lambda *parts: Entries(*parts, unstated)).batch(
        order.batch_size, drop_remainder=order.drop_remainder
    )
