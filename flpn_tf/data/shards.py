"""TFRecord shards of people: one record ↔ `tf.train.Example`, and the shuffled reading of a pass.

A record is a photo, or the part of one, with its n people:

    photo/encoded     bytes, JPEG or PNG, upright
    photo/name        bytes, the file's name in the source
    photo/id          int64
    people/id         (n,) int64
    people/box        (4n,) float32 [x, y, w, h], pixels of this picture
    people/area       (n,) float32, square pixels of this picture
    people/keypoints  (3Kn,) float32 (x, y, v), pixels of this picture
"""

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from flpn_tf.data.manifest import PreparedPeople

_KEY = 0x5EED  # of the order, apart from the augmentation's
_CYCLE = 8  # shards read in turn
_WINDOW_BYTES = 64e6  # of encoded photos that are shuffled together


def encode_example(encoded: bytes, name: str, photo_id: int, people: Sequence[dict]) -> bytes:
    """One serialised record.

    Args:
        people: dicts with `id`, `box` (4,), `area` and `keypoints` (K, 3), in pixels of this picture.
    """

    def floats(key):
        values = np.concatenate([np.ravel(person[key]) for person in people])
        return tf.train.Feature(float_list=tf.train.FloatList(value=values.astype(np.float32)))

    def integers(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def text(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {
        "photo/encoded": text(encoded),
        "photo/name": text(name.encode(errors="backslashreplace")),
        "photo/id": integers([photo_id]),
        "people/id": integers([person["id"] for person in people]),
        "people/box": floats("box"),
        "people/area": floats("area"),
        "people/keypoints": floats("keypoints"),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    # Equal records must have equal bytes: the order of a map's keys is not fixed otherwise.
    return example.SerializePartialToString(deterministic=True)


def parse_example(record, joints: int):
    """(name, photo, boxes, keypoints) of one record: strings (n,), float32 (n, 4) and (n, K, 3)."""
    features = tf.io.parse_single_example(
        record,
        {
            "photo/encoded": tf.io.FixedLenFeature((), tf.string),
            "photo/name": tf.io.FixedLenFeature((), tf.string),
            "people/id": tf.io.FixedLenSequenceFeature((), tf.int64, allow_missing=True),
            "people/box": tf.io.FixedLenSequenceFeature((4,), tf.float32, allow_missing=True),
            "people/keypoints": tf.io.FixedLenSequenceFeature((joints, 3), tf.float32, allow_missing=True),
        },
    )
    ids = features["people/id"]
    names = tf.strings.join([features["photo/name"], ", person ", tf.strings.as_string(ids)])
    photos = tf.fill(tf.shape(ids), features["photo/encoded"])
    return names, photos, features["people/box"], features["people/keypoints"]


def read_pass(people: PreparedPeople, number, seed: int | None) -> tf.data.Dataset:
    """Every person once, as (name, photo, box, keypoints).

    The preparation wrote the records in a random order. A pass reads the shards in another one, _CYCLE in
    turn, and shuffles windows of _WINDOW_BYTES; all of it depends on `seed` and `number` alone, which
    `Dataset.shuffle`, that also mixes in TensorFlow's global seed, would not.

    Args:
        number: of the pass, int64 tensor.
        seed: None keeps the stored order.
    """
    paths = tf.constant([os.fsencode(path) for path in people.paths])
    cycle = 1
    if seed is not None:
        key = tf.random.experimental.stateless_fold_in(tf.constant([seed, _KEY], tf.int64), number)
        paths = tf.random.experimental.stateless_shuffle(paths, key)
        cycle = min(_CYCLE, len(people.shards))
    records = tf.data.Dataset.from_tensor_slices(paths).interleave(
        tf.data.TFRecordDataset, cycle_length=cycle, num_parallel_calls=cycle, deterministic=True
    )
    entries = records.map(lambda record: parse_example(record, len(people.skeleton)), tf.data.AUTOTUNE)
    entries = entries.unbatch()
    if seed is None:
        return entries
    # Each of a photo's people comes with a copy of it.
    window = int(np.clip(_WINDOW_BYTES / (people.bytes / people.records), 64, 8192))

    def shuffled(place, batch):
        window_key = tf.random.experimental.stateless_fold_in(key, place)
        count = tf.shape(batch[0])[0]
        order = tf.random.experimental.stateless_shuffle(tf.range(count), window_key)
        return tuple(tf.gather(values, order) for values in batch)

    windows = entries.batch(window).enumerate()
    return windows.map(lambda place, batch: shuffled(place, batch)).unbatch()
