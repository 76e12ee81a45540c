"""The people of a data set in training order, photos still encoded: raw files or prepared shards."""

import os

import numpy as np
import tensorflow as tf

from flpn_tf.data import shards
from flpn_tf.data.entries import Entries, Order, raw_entries
from flpn_tf.data.manifest import PreparedPeople
from flpn_tf.data.records import People

_KEY = 0x5EED  # of the order


def stream(people: People | PreparedPeople, order: Order) -> tf.data.Dataset:
    """Batches of `Entries`; which ones depends on `order` alone, and each pass has every person once."""
    if isinstance(people, PreparedPeople):
        return _prepared(people, order)
    return _raw(people, order)


def _raw(people: People, order: Order) -> tf.data.Dataset:
    """Any place of the order can be computed by itself, so skipping costs nothing."""
    count = len(people)
    everyone = raw_entries(people)
    paths = [os.fsencode(place.path) for place in everyone.photo]
    columns = [tf.constant(column) for column in everyone._replace(photo=paths)]

    def entries(places):
        index = places % count
        if order.shuffle:
            index = shuffled(places, count, order.seed, _KEY)
        return Entries(*(tf.gather(column, index) for column in columns))

    end = np.iinfo(np.int64).max if order.repeat else count
    places = tf.data.Dataset.range(order.first * order.batch_size, end)
    return places.batch(order.batch_size, drop_remainder=order.drop_remainder).map(entries)


def shuffled(places, count: int, seed: int, purpose: int):
    """Who stands at places of an endless order in which each pass has each of `count` once.

    Args:
        places: (N,) int64, from 0.
        purpose: keeps the orders of different things apart.

    Returns:
        (N,) int64 indices below `count`; a place's depends on the arguments alone.
    """
    passes = tf.cast(places // count, tf.int32)
    same = tf.ones_like(passes)
    key = tf.stack([seed * same, passes, purpose * same], axis=1)
    # `tf.random.experimental.index_shuffle` takes many indices, but not a seed for each; its 4 rounds
    # leave small data sets, and any under a key of zeros, half sorted.
    return tf.raw_ops.RandomIndexShuffle(index=places % count, seed=key, max_index=count - 1, rounds=8)


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
