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
        sides[_is_held(record.image, share)].append(record)
    if not all(sides):
        raise InputError(
            f"validation.holdout must leave people on both sides; {people.source} has {len(people)}. "
            f"Received: {share}"
        )
    if people.coco is None:
        cocos = None, None
    else:
        photos = people.coco.photos.items()
        held = {image_id for image_id, photo in photos if _is_held(photo.path, share)}
        cocos = people.coco.of_photos(people.coco.photos.keys() - held), people.coco.of_photos(held)
    train, held = (
        dataclasses.replace(people, records=records, coco=coco)
        for records, coco in zip(sides, cocos, strict=True)
    )
    return train, held


def _is_held(photo, share: float) -> bool:
    return _fraction(str(photo).rpartition("/")[2]) < share


def _fraction(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8], "big") / 2**64
