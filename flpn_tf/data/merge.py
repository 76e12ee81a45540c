"""Several data sets as one COCO json, to train on. Needs no TensorFlow."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flpn_tf.data.annotation_files import clipped, photo_path
from flpn_tf.data.records import People, PersonRecord
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import read_image
from flpn_tf.runtime.photo_header import header_of
from flpn_tf.skeleton import SKELETONS, Skeleton

_CATEGORY_ID = 1
_SHRINKING = (0, 0, 1, 1)  # pixels that `read_coco` takes off a box
_TOLERANCE = 1e-4  # pixels; far above what is lost to rounding when 1 is added and taken off


class Merged(NamedTuple):
    """Several data sets as one.

    Attributes:
        document: the COCO json's values; file names are relative to `root`.
        root: folder of the photos.
        counts: people in the document, one a source; each is counted once, however often it is listed.
        inputs: the files that it was made from, annotations and photos.
        notes: a line for each kind of thing that a source loses.
    """

    document: dict
    root: Path
    counts: list[int]
    inputs: list[Path]
    notes: list[str]


class _Photo(NamedTuple):
    image_id: int
    size: tuple[int, int]  # (width, height)


def merge(sources: list[tuple[str, int]], root=None) -> Merged:
    """The people of several data sets, of any format, as one COCO json.

    It has the first source's skeleton; the others' joints meet it by name, and those that they lack are
    unlabelled. What the readers leave out (crowds, people without labelled joints) is left out: the json is
    to train on, AP measured on it is not the official one. `read_coco` makes of it the sources' records but
    for ids and head boxes; only boxes that go beyond their photo, as those of MPII and LSP may, it clips.

    Args:
        sources: (data set as `read_people` takes it, times that its people are listed) each, at least one.
        root: folder that holds all photos; by default the deepest that does. No photo is copied.

    Raises:
        InputError: no source, or what `read_people` raises; skeletons that share fewer than half of the
            joints; a photo outside of `root`, or of two sizes in two sources; nobody left.
    """
    if not sources:
        raise InputError("A merged data set needs at least one source. Received: none")
    read = [read_people(data) for data, _ in sources]
    skeleton = read[0].skeleton
    photos, annotations, counts, notes = {}, [], [], []
    for (data, times), people in zip(sources, read, strict=True):
        entries = _annotations(people, skeleton, data, photos, notes)
        counts.append(len(entries))
        first_id = len(annotations) + 1
        annotations += [{"id": new_id, **entry} for new_id, entry in enumerate(entries * times, first_id)]
    if not annotations:
        raise InputError(f"Nobody is left in the merged data set. Received: {'; '.join(notes)}")
    folder = Path(os.path.commonpath([path.parent for path in photos]) if root is None else root)
    real_folder = Path(os.path.realpath(folder))
    images = [_image(path, photo, real_folder) for path, photo in photos.items()]
    document = {"images": images, "annotations": annotations, "categories": [_category(skeleton)]}
    return Merged(document, folder, counts, [*(people.source for people in read), *photos], notes)


def _annotations(
    people: People, skeleton: Skeleton, data: str, photos: dict[Path, _Photo], notes: list[str]
) -> list[dict]:
    """A source's people without ids; adds their photos to `photos`, and what is lost to `notes`."""
    try:
        ours, theirs = map(list, zip(*skeleton.match(people.skeleton), strict=True))
    except InputError as error:
        raise InputError(f"{data}: {error}") from error
    if unmatched := people.skeleton.unmatched(skeleton):
        notes.append(f"{data}: joints that the first source has not are left out: {', '.join(unmatched)}")
    entries, lost = [], Counter()
    for record in people.records:
        keypoints = np.zeros((len(skeleton), 3), np.float32)
        keypoints[ours] = record.keypoints[theirs]
        if not keypoints[:, 2].any():
            lost["left out, all their labelled joints being such"] += 1
            continue
        path = _real(record.image)
        size = _size(record, photos.get(path))
        box = record.box + _SHRINKING
        read_back = clipped(box, *size)
        if read_back is None:
            lost["left out, their box being outside their photo"] += 1
            continue
        if np.abs(read_back - record.box).max() > _TOLERANCE:
            lost["whose box goes beyond their photo and is clipped to it"] += 1
        photo = photos.setdefault(path, _Photo(len(photos) + 1, size))
        if photo.size != size:
            raise InputError(
                f"{data}: {path} has another size in a source before it, {photo.size[0]}x{photo.size[1]}; "
                f"flpn data check says which is right. Received: {size[0]}x{size[1]}"
            )
        entries.append(_annotation(photo.image_id, box, record.area, keypoints))
    notes += [f"{data}: people {what}: {count}" for what, count in lost.items()]
    return entries


def _real(photo: Path) -> Path:
    """One path for a photo, whatever links lead to its folder: the reader refuses a link out of the root."""
    return Path(os.path.realpath(photo.parent)) / photo.name


def _size(record: PersonRecord, known: _Photo | None) -> tuple[int, int]:
    """(width, height) of a person's photo, upright."""
    if record.image_size is not None:
        return record.image_size
    if known is not None:
        return known.size
    header = header_of(record.image)
    if header is not None:
        return header.upright_size
    height, width = read_image(record.image).shape[:2]  # neither JPEG nor PNG
    return width, height


def _image(path: Path, photo: _Photo, root: Path) -> dict:
    if not path.is_relative_to(root):
        raise InputError(f"{path}: the photo lies outside of the root; give a folder above. Received: {root}")
    name = path.relative_to(root).as_posix()
    photo_path(root, name, str(path))  # as the reader will, it refuses links out of the root
    width, height = photo.size
    return {"id": photo.image_id, "file_name": name, "width": width, "height": height}


def _annotation(image_id: int, box: np.ndarray, area: float, keypoints: np.ndarray) -> dict:
    """Its numbers are the float32 and float64 of the record, exactly."""
    return {
        "image_id": image_id,
        "category_id": _CATEGORY_ID,
        "iscrowd": 0,
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "keypoints": [value for x, y, v in keypoints.tolist() for value in (x, y, int(v))],
        "bbox": box.tolist(),
        "area": area,
    }


def _category(skeleton: Skeleton) -> dict:
    """What `Skeleton.from_coco_category` reads; nothing is left to be guessed from names."""
    known = skeleton.name in SKELETONS
    return {
        "id": _CATEGORY_ID,
        "name": "person" if known else skeleton.name.removesuffix(f"_{len(skeleton)}"),
        "keypoints": list(skeleton.names),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limbs],
        "flip_pairs": [list(pair) for pair in skeleton.flip_pairs],
        "sigmas": list(skeleton.sigmas),
    }
