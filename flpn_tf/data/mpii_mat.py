"""The nesting of MPII's official .mat. Needs no TensorFlow."""

from collections.abc import Iterator
from pathlib import Path

from flpn_tf.data.annotation_files import short
from flpn_tf.data.findings import BadEntry, Findings
from flpn_tf.data.matlab import listed
from flpn_tf.errors import InputError
from flpn_tf.skeleton import MPII_16

_SPLITS = {"train": (1,), "test": (0,), "all": (0, 1)}  # values of img_train
# Points are labelled, all of them; those that state no visibility were not hidden.
_V = {0: 1, "0": 1, 1: 2, "1": 2, None: 2}


def mat_people(release, split: str, source: Path) -> Iterator[tuple]:
    """The people of `RELEASE` as `matlab.plain` makes it, one for each `annorect`.

    Yields:
        (image id, person id, photo, annorect): places in the whole file, from 0, and unchecked values.

    Raises:
        InputError: no such split, or annolist and img_train do not fit together.
    """
    if split not in _SPLITS:
        raise InputError(f"{source}: split must be one of {', '.join(_SPLITS)}. Received: {short(split)}")
    release = release if isinstance(release, dict) else {}
    images, trains = listed(release.get("annolist")), listed(release.get("img_train"))
    if not images or not all(isinstance(image, dict) for image in images):
        raise InputError(f"{source}: RELEASE needs an annolist of structs. Received: {short(images)}")
    if len(images) != len(trains) or any(train not in (0, 1) for train in trains):
        raise InputError(
            f"{source}: RELEASE needs an img_train of {len(images)} times 0 or 1, one for each image. "
            f"Received: {len(trains)} values, {short(trains)}"
        )
    person_id = 0
    for image_id, (image, train) in enumerate(zip(images, trains, strict=True)):
        photo = image.get("image")
        photo = photo.get("name") if isinstance(photo, dict) else photo
        for person in listed(image.get("annorect")):
            if train in _SPLITS[split]:
                yield image_id, person_id, photo, person
            person_id += 1


def mat_person(annorect: dict, where: str, findings: Findings) -> dict:
    """One annorect in the form of the json conversion.

    Returns:
        {"joints": 16 of [x, y], "v": 16 of 0, 1 or 2 as in PersonRecord, "center": [x, y], "scale",
        "head": [x1, y1, x2, y2]}, pixels from 1. All but `v` is unchecked; center, scale and head may be
        None.

    Raises:
        BadEntry: annopoints that are no points, or a point's id or visibility is none.
    """
    joints, v = [None] * len(MPII_16), [0] * len(MPII_16)
    for annopoints in listed(annorect.get("annopoints")):
        for point in listed(_struct(annopoints, where, "annopoints").get("point")):
            joint = _value(_struct(point, where, "point"), "id")
            if joint not in range(len(MPII_16)):
                raise BadEntry(
                    "bad keypoints", f"{where}: a point's id must be 0 to 15. Received: {short(joint)}"
                )
            visible = _value(point, "is_visible")
            if isinstance(visible, list | dict) or visible not in _V:
                raise BadEntry(
                    "bad keypoints",
                    f"{where}: is_visible of joint {joint:g} must be 0 or 1. Received: {short(visible)}",
                )
            joint = int(joint)
            if v[joint]:
                findings.warn("joint given twice", f"{where}: joint {joint} is there twice, the last counts")
            joints[joint], v[joint] = [_value(point, "x"), _value(point, "y")], _V[visible]
    centre = listed(annorect.get("objpos"))
    centre = _struct(centre[0], where, "objpos") if len(centre) == 1 else {}
    head = [_value(annorect, key) for key in ("x1", "y1", "x2", "y2")]
    return {
        "joints": joints,
        "v": v,
        "center": [_value(centre, "x"), _value(centre, "y")],
        "scale": _value(annorect, "scale"),
        "head": None if None in head else head,
    }


def _struct(value, where: str, name: str) -> dict:
    if not isinstance(value, dict):
        raise BadEntry(f"bad {name}", f"{where}: {name} must be a struct. Received: {short(value)}")
    return value


def _value(struct: dict, field: str):
    """None for a field that is missing or, as MATLAB fills structs up, empty."""
    value = struct.get(field)
    return None if value == [] else value
