"""The shards of prepared people, read without TensorFlow.

A TFRecord file is, record after record, a length (8 bytes), its checksum (4), that many bytes, and their
checksum (4), all little-endian. A record of `shards.encode_example` is a `tf.train.Example`, messages of the
protocol-buffer format:

    Example    1: Features
    Features   1: an entry of the map, repeated     entry   1: its key   2: Feature
    Feature    1: BytesList or 2: FloatList or 3: Int64List, each with   1: its values, numbers in one run

The checksums are not read: the manifest has the sha256 of every file, which is compared first.
"""

import mmap
from pathlib import Path

import numpy as np

from flpn_tf.data.entries import Entries, Place
from flpn_tf.data.manifest import PreparedPeople, damaged_shard
from flpn_tf.errors import InputError

_LENGTH_DELIMITED = 2  # wire type; the only one that is written


def prepared_entries(people: PreparedPeople) -> Entries:
    """Every person, in the stored order; the photos stay in the files.

    Raises:
        InputError: a shard has changed since it was prepared, or cannot be read.
    """
    if (damage := damaged_shard(people)) is not None:
        raise damage
    names, photos, boxes, keypoints = [], [], [], []
    for path in people.paths:
        try:
            for record in _records(Path(path), len(people.skeleton)):
                for kept, values in zip((names, photos, boxes, keypoints), record, strict=True):
                    kept.extend(values)
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise InputError(f"{path}: cannot be read ({error}); prepare the data again") from error
    return Entries(names, photos, np.array(boxes), np.array(keypoints), np.zeros((len(names), 2), np.int32))


def _records(path: Path, joints: int):
    """(names, photos, boxes, keypoints) of each record's people: `shards.parse_example`."""
    if not path.stat().st_size:  # cannot be mapped
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = 0
        while start < len(content):
            length = int.from_bytes(content[start : start + 8], "little")
            features = _features(content, start + 12, start + 12 + length)
            ((photo, photo_end),) = _spans(content, *features["photo/encoded"])
            (name,) = (content[slice(*span)] for span in _spans(content, *features["photo/name"]))
            ids = list(_integers(content, *features["people/id"]))
            yield (
                [b"%s, person %d" % (name, number) for number in ids],
                [Place(str(path), photo, photo_end - photo)] * len(ids),
                _floats(content, *features["people/box"]).reshape(len(ids), 4),
                _floats(content, *features["people/keypoints"]).reshape(len(ids), joints, 3),
            )
            start += 12 + length + 4


def _features(content, start: int, end: int) -> dict[str, tuple[int, int]]:
    """Each feature's list of values, as (start, end)."""
    ((start, end),) = _spans(content, start, end)
    found = {}
    for entry in _spans(content, start, end):
        (_, *key), (_, *feature) = _fields(content, *entry)
        ((_, *values),) = _fields(content, *feature)
        found[content[slice(*key)].decode()] = values
    return found


def _spans(content, start: int, end: int):
    """(start, end) of every field of a message that has none but number 1."""
    for number, *span in _fields(content, start, end):
        if number != 1:
            raise ValueError(f"field {number} instead of 1")
        yield span


def _fields(content, start: int, end: int):
    """(number, start, end) of a message's fields."""
    while start < end:
        tag, start = _integer(content, start)
        if tag & 7 != _LENGTH_DELIMITED:
            raise ValueError(f"wire type {tag & 7}")
        length, start = _integer(content, start)
        if length > end - start:
            raise ValueError("a field ends behind its message")
        yield tag >> 3, start, start + length
        start += length


def _integer(content, start: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        byte = content[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
    raise ValueError("a number of more than 64 bits")


def _integers(content, start: int, end: int):
    for place, last in _spans(content, start, end):
        while place < last:
            value, place = _integer(content, place)
            yield value - (value >> 63 << 64)  # two's complement


def _floats(content, start: int, end: int) -> np.ndarray:
    return np.frombuffer(b"".join(content[slice(*span)] for span in _spans(content, start, end)), "<f4")
