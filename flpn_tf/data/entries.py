"""The people of a data set as arrays, their photos still files, and their order. Needs no TensorFlow."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flpn_tf.data.records import People
from flpn_tf.errors import InputError


class Entries(NamedTuple):
    """People, N of them: lists and arrays of numpy or, in the tf.data pipeline, tensors.

    Attributes:
        name: (N,) bytes, photo and person for messages.
        photo: (N,) each photo's `Place`; in the tf.data pipeline text, the file's path, of prepared people
            the content of a JPEG or PNG.
        box: (N, 4) float32 [x, y, w, h], photo pixels.
        keypoints: (N, K, 3) float32 (x, y, v), photo pixels.
        size: (N, 2) int32, the (height, width) that the annotations state; 0 where they don't.
    """

    name: Any
    photo: Any
    box: Any
    keypoints: Any
    size: Any


class Place(NamedTuple):
    """Where a photo's bytes are: `length` of a file from `start` on, -1 for all."""

    path: str
    start: int = 0
    length: int = -1

    def read(self) -> bytes:
        """Raises OSError."""
        with Path(self.path).open("rb") as file:
            file.seek(self.start)
            return file.read(self.length)


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


def raw_entries(people: People) -> Entries:
    """Of people read from their annotations."""
    records = people.records
    return Entries(
        [entry_name(record.image, record.person_id) for record in records],
        [Place(str(record.image)) for record in records],
        np.stack([record.box for record in records]).astype(np.float32),
        np.stack([record.keypoints for record in records]).astype(np.float32),
        np.array([(record.image_size or (0, 0))[::-1] for record in records], np.int32),
    )


def entry_name(photo, person: int) -> bytes:
    """The photo and person in one; a file's name need not be UTF-8."""
    return f"{photo}, person {person}".encode(errors="backslashreplace")


def other_size(name: str, found, stated) -> InputError:
    """The error of a photo whose (height, width) is not the stated one."""
    (height, width), (stated_height, stated_width) = found, stated
    return InputError(
        f"{name}: the photo is {width}x{height} upright, its annotations say {stated_width}x{stated_height}; "
        "flpn data check lists such photos"
    )
