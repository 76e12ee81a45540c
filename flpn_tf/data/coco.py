"""COCO person-keypoints json (or any json of that shape) → PersonRecords. Needs no TensorFlow."""

import json
import os
from pathlib import Path, PurePosixPath

import numpy as np

from flpn_tf.data.records import PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.skeleton import Skeleton

_LARGEST = float(np.finfo(np.float32).max)  # what the records can hold


def find_data_set(data) -> tuple[Path, Path]:
    """(annotations json, image folder) of a data-set folder holding `annotations.json` and `images/`.

    Raises:
        InputError: one of the two is missing.
    """
    folder = Path(data)
    annotations, images = folder / "annotations.json", folder / "images"
    if not annotations.is_file() or not images.is_dir():
        raise InputError(
            f"{folder}: a data set is a folder with annotations.json and images/; give one that has both"
        )
    return annotations, images


def read_coco(annotations, images) -> tuple[Skeleton, list[PersonRecord]]:
    """Reads the people of a COCO-format json.

    Kept, as in the reference code of Xiao et al. 2018: no crowd, at least one labelled keypoint, area
    above 0 (of the box where the json gives none), a box that meets the photo. As there, boxes are clipped to
    it and their sides shrunk by one pixel, to not less than 1.
    Annotations of categories without `keypoints` are left out.

    Args:
        annotations: the json; its `categories` name the keypoints.
        images: folder of the photos.

    Returns:
        The json's skeleton and the records in the json's order; each record's photo exists.

    Raises:
        InputError: not a COCO json, a missing or malformed value, an id given twice, two different lists of
            keypoint names, a file name that leaves the folder, a missing photo, or no person left.
    """
    source, root = Path(annotations), Path(images)
    document = _load(source)
    skeleton, category_ids = _read_categories(document["categories"], source)
    photos = {
        image_id: (_photo_path(root, image, where), *_photo_size(image, where))
        for image_id, image, where in _entries(document["images"], f"{source}: image")
    }
    records = []
    for person_id, annotation, where in _entries(document["annotations"], f"{source}: annotation"):
        values = annotation.get("keypoints")
        if annotation.get("category_id") not in category_ids or annotation.get("iscrowd") or values is None:
            continue
        keypoints = _numbers(values, 3 * len(skeleton), f"{where}: keypoints").reshape(-1, 3)
        if not (keypoints[:, 2] > 0).any():
            continue
        image_id = annotation.get("image_id")
        if type(image_id) is not int or image_id not in photos:
            raise InputError(f"{where}: there is no image with its image_id. Received: {image_id!r}")
        photo, width, height = photos[image_id]
        box = _clipped(_numbers(annotation.get("bbox"), 4, f"{where}: bbox"), width, height)
        if box is None:
            continue
        (area,) = _numbers([annotation.get("area", float(box[2] * box[3]))], 1, f"{where}: area")
        if area > 0:
            records.append(
                PersonRecord(photo, image_id, person_id, box, float(area), keypoints.astype(np.float32))
            )
    if not records:
        wanted = ", ".join(map(str, category_ids))
        raise InputError(f"{source}: holds no person with labelled keypoints (category_id {wanted})")
    paths = dict.fromkeys(record.image for record in records)
    # `Path.is_file` raises for a name too long.
    missing = [path for path in paths if not os.path.isfile(path)]  # noqa: PTH113
    if missing:
        raise InputError(
            f"{source}: {len(missing)} of its {len(paths)} photos are missing, first {str(missing[0])[:300]}"
        )
    return skeleton, records


def _load(path: Path) -> dict:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({error})") from error
    keys = ("images", "annotations", "categories")
    missing = [k for k in keys if not isinstance(document, dict) or not isinstance(document.get(k), list)]
    if missing:
        raise InputError(f"{path}: is not a COCO json, the lists {', '.join(missing)} are missing")
    return document


def _read_categories(categories: list, source: Path) -> tuple[Skeleton, list]:
    """The skeleton and the ids of the categories that have it."""
    categories = [c for c in categories if isinstance(c, dict) and c.get("keypoints")]
    if not categories:
        raise InputError(f"{source}: no category with a `keypoints` list; is this a keypoints json?")
    first, *others = categories
    if any(other["keypoints"] != first["keypoints"] for other in others):
        raise InputError(f"{source}: its categories name different keypoints; keep those of one kind of body")
    try:
        skeleton = Skeleton.from_coco_category(first)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    return skeleton, [category.get("id") for category in categories]


def _entries(entries: list, kind: str):
    """Yields (id, entry, "kind id" for messages); ids must be whole numbers and unique."""
    seen = set()
    for place, entry in enumerate(entries):
        entry_id = entry.get("id") if isinstance(entry, dict) else None
        if type(entry_id) is not int:
            raise InputError(f"{kind} number {place} needs a whole number as `id`. Received: {_short(entry)}")
        if entry_id in seen:
            raise InputError(f"{kind} ids must be unique. Received: {entry_id} twice")
        seen.add(entry_id)
        yield entry_id, entry, f"{kind} {entry_id}"


def _photo_path(root: Path, image: dict, where: str) -> Path:
    name = image.get("file_name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: file_name must be a text. Received: {_short(name)}")
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{where}: file_name must stay inside the image folder. Received: {name!r}")
    return root / path


def _photo_size(image: dict, where: str) -> np.ndarray:
    size = _numbers([image.get("width"), image.get("height")], 2, f"{where}: width and height")
    if not (size > 0).all():
        raise InputError(f"{where}: width and height must be above 0. Received: {size.tolist()}")
    return size


def _numbers(values, count: int, where: str) -> np.ndarray:
    """(count,) float64."""
    # `abs(value) <= …` is False for NaN; a whole number of 310 digits would overflow in numpy.
    if (
        isinstance(values, list)
        and len(values) == count
        and all(type(value) in (int, float) and abs(value) <= _LARGEST for value in values)
    ):
        return np.array(values, np.float64)
    if count == 1:
        raise InputError(f"{where} must be a finite number. Received: {_short(values[0])}")
    raise InputError(f"{where} must be {count} finite numbers. Received: {_short(values)}")


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _clipped(box: np.ndarray, width: float, height: float) -> np.ndarray | None:
    """The box inside its photo, or None where nothing is left of it (the reference code's filter)."""
    x, y, w, h = box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(width - 1.0, x + max(0.0, w - 1)), min(height - 1.0, y + max(0.0, h - 1))
    if right < left or bottom < top:
        return None
    return np.array([left, top, max(right - left, 1.0), max(bottom - top, 1.0)])
