"""People kept out of training to measure on. Needs no TensorFlow."""

import dataclasses
import hashlib

from flpn_tf.data.records import People, PersonRecord
from flpn_tf.errors import InputError


def hold_out(people: People, share: float) -> tuple[People, People]:
    """Splits a data set by photo: (to train on, to measure on).

    A photo's file name alone decides, so the split stays when photos are added, and all people of a photo
    are on one side.

    Args:
        share: of the photos to measure on, 0–1.

    Raises:
        InputError: one side would be empty.
    """
    sides: tuple[list[PersonRecord], list[PersonRecord]] = [], []
    for record in people.records:
        sides[_fraction(str(record.image).rpartition("/")[2]) < share].append(record)
    if not all(sides):
        raise InputError(
            f"validation.holdout must leave people on both sides; {people.source} has {len(people)}. "
            f"Received: {share}"
        )
    train, held = (dataclasses.replace(people, records=records) for records in sides)
    return train, held


def _fraction(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8], "big") / 2**64
