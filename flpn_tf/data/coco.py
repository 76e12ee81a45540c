"""COCO person-keypoints json (or any json of that shape) → PersonRecords."""

import json
from pathlib import Path, PurePosixPath

import numpy as np

from flpn_tf.data.records import PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.skeleton import Skeleton


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


def _load(path: Path) -> dict:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error})") from error
    keys = ("images", "annotations", "categories")
    missing = [k for k in keys if not isinstance(document, dict) or not isinstance(document.get(k), list)]
    if missing:
        raise InputError(f"{path}: is not a COCO json, the lists {', '.join(missing)} are missing")
    return document


def _image_path(root: Path, file_name: str, source: Path) -> Path:
    """`root / file_name`, refused where it would leave `root`."""
    name = PurePosixPath(file_name)
    if name.is_absolute() or ".." in name.parts:
        raise InputError(f"{source}: file_name must stay inside the image folder. Received: {file_name!r}")
    return root / name


def _clipped(box, width: int, height: int) -> np.ndarray | None:
    """The box inside its photo, or None where nothing is left of it (the reference code's filter)."""
    x, y, w, h = (float(v) for v in box)
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(width - 1.0, x + max(0.0, w - 1)), min(height - 1.0, y + max(0.0, h - 1))
    if right < left or bottom < top:
        return None
    return np.array([left, top, max(right - left, 1.0), max(bottom - top, 1.0)])


def read_coco(annotations, images) -> tuple[Skeleton, list[PersonRecord]]:
    """Reads the people of a COCO-format json.

    Kept, as in the reference code: no crowd, at least one labelled keypoint, area above 0, a box that
    meets the photo (boxes are clipped to it).

    Args:
        annotations: the json; its `categories` name the keypoints.
        images: folder of the photos.

    Returns:
        The json's skeleton and the records in the json's order.

    Raises:
        InputError: not a COCO json, an annotation without its image entry, a keypoint list of the
            wrong length, a file name that leaves the folder, or no person left.
    """
    source, root = Path(annotations), Path(images)
    document = _load(source)
    category = next((c for c in document["categories"] if c.get("keypoints")), None)
    if category is None:
        raise InputError(f"{source}: no category with a `keypoints` list; is this a keypoints json?")
    skeleton = Skeleton.from_coco_category(category)
    by_id = {image["id"]: image for image in document["images"]}
    records = []
    for annotation in document["annotations"]:
        if annotation.get("iscrowd") or not annotation.get("num_keypoints"):
            continue
        where = f"{source}: annotation {annotation.get('id')}"
        image = by_id.get(annotation.get("image_id"))
        if image is None:
            raise InputError(
                f"{where}: there is no image with its image_id. Received: {annotation.get('image_id')}"
            )
        keypoints = np.asarray(annotation.get("keypoints", ()), dtype=np.float32)
        if keypoints.size != 3 * len(skeleton):
            raise InputError(
                f"{where}: {len(skeleton)} keypoints need {3 * len(skeleton)} numbers. Received: {keypoints.size}"
            )
        box = _clipped(annotation["bbox"], image["width"], image["height"])
        if box is None or not annotation.get("area", box[2] * box[3]) > 0:
            continue
        records.append(
            PersonRecord(
                image=_image_path(root, image["file_name"], source),
                image_id=annotation["image_id"],
                person_id=annotation["id"],
                box=box,
                area=float(annotation.get("area", box[2] * box[3])),
                keypoints=keypoints.reshape(-1, 3),
            )
        )
    if not records:
        raise InputError(f"{source}: holds no person with labelled keypoints")
    return skeleton, records
