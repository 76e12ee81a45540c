"""What the readers of all data sets share: files in, checked values and photo paths out."""

import functools
import hashlib
import json
import os
from pathlib import Path, PurePosixPath

import numpy as np

from flpn_tf.data.findings import BadEntry, Findings
from flpn_tf.data.records import PersonRecord
from flpn_tf.errors import InputError

_LARGEST = float(np.finfo(np.float32).max)  # what the records can hold


def read_annotations(path: Path) -> tuple[bytes, str]:
    """(content, sha256) of an annotation file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return content, hashlib.sha256(content).hexdigest()


def parse_json(content: bytes, path: Path):
    """The document of a json file's content.

    Raises:
        InputError: it is not JSON, naming `path`.
    """
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({error})") from error


def is_url(path) -> bool:
    """Whether a file or folder, such as "gs://bucket/photos", is Beam's to read, not the system's."""
    return "://" in str(path)


def photo_folder(images) -> Path | str:
    """What readers put the photos' names behind; a URL stays a text, which `Path` would spoil."""
    return str(images).rstrip("/") if is_url(images) else Path(images)


def in_folder(root: Path | str, name) -> Path | str:
    """A photo in a `photo_folder`."""
    return f"{root}/{name}" if isinstance(root, str) else root / name


def photo_path(root: Path | str, name, where: str) -> Path | str:
    """`name` in `root`, a `photo_folder`.

    Raises:
        BadEntry: `name` is no text, absolute, goes through `..`, or is a link that leaves the folder.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise BadEntry("bad file name", f"{where}: file_name must be a text. Received: {short(name)}")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise BadEntry(
            "bad file name",
            f"{where}: file_name must stay inside the image folder. Received: {short(name)}",
        )
    if isinstance(root, Path) and not _is_inside(root, path):
        raise BadEntry(
            "bad file name",
            f"{where}: is a link out of the image folder; put the photo there. Received: {short(name)}",
        )
    return in_folder(root, path)


def _is_inside(root: Path, path: PurePosixPath) -> bool:
    try:
        return Path(os.path.realpath(root / path)).is_relative_to(_real(root.absolute()))
    except (OSError, ValueError):
        return True  # no file can have this name: it will be missing


@functools.cache
def _real(folder: Path) -> str:
    return os.path.realpath(folder)


def existing_photos(records: list[PersonRecord], source: Path, findings: Findings) -> list[PersonRecord]:
    """Those of the records whose photo is there; the others are an error of `findings`.

    A URL counts as there; only who reads it finds out.

    Raises:
        InputError: photos are missing, unless errors are collected; it says how many, and the first.
    """
    paths = dict.fromkeys(record.image for record in records)
    # `Path.is_file` raises for a name too long.
    missing = {path for path in paths if not is_url(path) and not os.path.isfile(path)}  # noqa: PTH113
    if not missing:
        return records
    if not findings.collect:
        first = next(record for record in records if record.image in missing)
        raise InputError(
            f"{source}: {len(missing)} of its {len(paths)} photos are missing, first "
            f"{str(first.image)[:300]} of person {first.person_id}"
        )
    for record in records:
        if record.image in missing:
            findings.error(
                "missing photo", f"person {record.person_id}: there is no photo {str(record.image)[:300]}"
            )
    return [record for record in records if record.image not in missing]


def numbers(values, count: int, kind: str, where: str) -> np.ndarray:
    """(count,) float64 of a list.

    Raises:
        BadEntry: not that many finite numbers.
    """
    # `abs(value) <= …` is False for NaN; a whole number of 310 digits would overflow in numpy.
    if (
        isinstance(values, list)
        and len(values) == count
        and all(type(value) in (int, float) and abs(value) <= _LARGEST for value in values)
    ):
        return np.array(values, np.float64)
    if count == 1:
        raise BadEntry(kind, f"{where} must be a finite number. Received: {short(values[0])}")
    raise BadEntry(kind, f"{where} must be {count} finite numbers. Received: {short(values)}")


def short(value) -> str:
    """`repr`, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def clipped(box: np.ndarray, width: float, height: float) -> np.ndarray | None:
    """The box inside its photo, or None where nothing is left of it.

    As the reference code of Xiao et al. 2018 does, sides are shrunk by one pixel, to not less than 1.
    """
    x, y, w, h = box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(width - 1.0, x + max(0.0, w - 1)), min(height - 1.0, y + max(0.0, h - 1))
    if right < left or bottom < top:
        return None
    return np.array([left, top, max(right - left, 1.0), max(bottom - top, 1.0)])
