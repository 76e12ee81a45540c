"""COCO person-keypoints json (or any json of that shape) → People. Needs no TensorFlow."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from flpn_tf.data.annotation_files import (
    clipped,
    existing_photos,
    numbers,
    parse_json,
    photo_folder,
    photo_path,
    read_annotations,
    short,
)
from flpn_tf.data.findings import BadEntry, Findings
from flpn_tf.data.records import People, PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.skeleton import Skeleton


class _Photo(NamedTuple):
    path: Path | str
    width: float
    height: float


def read_coco(annotations, images, detections=None, findings: Findings | None = None) -> People:
    """Reads the people of a COCO-format json.

    Kept, as in the reference code of Xiao et al. 2018: no crowd, at least one labelled keypoint, area
    above 0 (of the box where the json gives none), a box that meets the photo. As there, boxes are clipped to
    it and their sides shrunk by one pixel, to not less than 1.
    Annotations of categories without `keypoints` are left out.

    Args:
        annotations: the json; its `categories` name the keypoints. Beside `keypoints` and `skeleton` a
            category may give `flip_pairs` (0-based) and `sigmas`, as in `Skeleton.from_coco_category`.
        images: folder of the photos, or its URL; those of a URL are not looked for.
        detections: a json list of boxes in COCO's results format. The people are then its boxes of the
            categories with keypoints, in that file's order, each with its score and nothing labelled.
        findings: where what is wrong is kept; by default the first error is raised.

    Returns:
        The people in the json's order; each one's photo exists.

    Raises:
        InputError: not a COCO json, a missing or malformed value, an id given twice, two different lists of
            keypoint names, a file name that leaves the folder, a missing photo, or no person left. Where
            findings are collected, only what concerns the whole file.
    """
    source, root = Path(annotations), photo_folder(images)
    findings = Findings() if findings is None else findings
    content, sha256 = read_annotations(source)
    document = _check_document(parse_json(content, source), source)
    skeleton, categories = _read_categories(document["categories"], source)
    photos = {}
    for image_id, image, where in _entries(document["images"], f"{source}: image", findings):
        with findings.of_entry():
            photos[image_id] = _read_photo(image, root, where)
    if detections is None:
        entries = _entries(document["annotations"], f"{source}: annotation", findings)
        read_person = _read_annotation
    else:
        source = Path(detections)
        entries = _read_results(source)
        read_person = _read_detection
    records = []
    for person_id, entry, where in entries:
        with findings.of_entry():
            record = read_person(person_id, entry, where, skeleton, categories, photos, findings)
            if record is not None:
                records.append(record)
    return People(existing_photos(records, source, findings), source, sha256, findings)


def _read_annotation(person_id, annotation, where, skeleton, categories, photos, findings):
    """The PersonRecord of one annotation, or None where the protocol leaves it out."""
    values = annotation.get("keypoints")
    if annotation.get("category_id") not in categories or values is None:
        return findings.leave_out("of a category without keypoints, or has none", person_id)
    if annotation.get("iscrowd"):
        return findings.leave_out("a crowd", person_id)
    keypoints = numbers(values, 3 * len(skeleton), "bad keypoints", f"{where}: keypoints").reshape(-1, 3)
    codes = keypoints[:, 2]
    if not np.isin(codes, (0, 1, 2)).all():
        wrong = codes[~np.isin(codes, (0, 1, 2))][0]
        raise BadEntry("bad visibility", f"{where}: visibility must be 0, 1 or 2. Received: {wrong:g}")
    labelled = int((codes > 0).sum())
    if not labelled:
        return findings.leave_out("no labelled keypoint", person_id)
    image_id, photo = _photo_of(annotation, photos, where)
    given = numbers(annotation.get("bbox"), 4, "bad box", f"{where}: bbox")
    box = clipped(given, photo.width, photo.height)
    if box is None:
        return findings.leave_out("a box outside its photo", person_id)
    (area,) = numbers([annotation.get("area", float(box[2] * box[3]))], 1, "bad area", f"{where}: area")
    if area <= 0:
        return findings.leave_out("no area", person_id)
    if min(given[2:]) <= 0:
        findings.warn("box without area", f"{where}: bbox {short(given.tolist())} becomes one pixel")
    if (given[:2] < -1).any() or (given[:2] + given[2:] > np.array(photo[1:]) + 1).any():
        findings.warn(
            "box beyond its photo",
            f"{where}: bbox {short(given.tolist())} in {photo.width:g}x{photo.height:g} is clipped",
        )
    if annotation.get("num_keypoints", labelled) != labelled:
        stated = short(annotation["num_keypoints"])
        findings.warn("wrong num_keypoints", f"{where}: {labelled} are labelled. Received: {stated}")
    return PersonRecord(
        photo.path,
        image_id,
        person_id,
        box,
        float(area),
        keypoints.astype(np.float32),
        skeleton,
        (int(photo.width), int(photo.height)),
    )


def _read_detection(person_id, detection, where, skeleton, categories, photos, findings):
    """The PersonRecord of one detected box, or None where the protocol leaves it out."""
    if detection.get("category_id") not in categories:
        return findings.leave_out("of a category without keypoints", person_id)
    image_id, photo = _photo_of(detection, photos, where)
    given = numbers(detection.get("bbox"), 4, "bad box", f"{where}: bbox")
    (score,) = numbers([detection.get("score")], 1, "bad score", f"{where}: score")
    box = clipped(given, photo.width, photo.height)
    if box is None:
        return findings.leave_out("a box outside its photo", person_id)
    return PersonRecord(
        photo.path,
        image_id,
        person_id,
        box,
        float(box[2] * box[3]),
        np.zeros((len(skeleton), 3), np.float32),
        skeleton,
        (int(photo.width), int(photo.height)),
        float(score),
    )


def _photo_of(entry: dict, photos: dict, where: str) -> tuple[int, _Photo]:
    image_id = entry.get("image_id")
    if type(image_id) is not int or image_id not in photos:
        raise BadEntry(
            "unknown image_id",
            f"{where}: there is no image with its image_id. Received: {short(image_id)}",
        )
    return image_id, photos[image_id]


def _check_document(document, path: Path) -> dict:
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
        skeleton = Skeleton.from_coco_category(first, first.get("flip_pairs"), first.get("sigmas"))
    except (InputError, TypeError) as error:
        raise InputError(f"{source}: {error}") from error
    return skeleton, [category.get("id") for category in categories]


def _read_results(path: Path):
    """Yields (place, detection, "file: detection number place") of a results json."""
    document = parse_json(read_annotations(path)[0], path)
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise InputError(
            f"{path}: is no json of detections, a list of {{image_id, category_id, bbox, score}}"
        )
    for place, entry in enumerate(document):
        yield place, entry, f"{path}: detection number {place}"


def _entries(entries: list, kind: str, findings: Findings):
    """Yields (id, entry, "kind id" for messages); ids must be whole numbers and unique."""
    seen = set()
    for place, entry in enumerate(entries):
        entry_id = entry.get("id") if isinstance(entry, dict) else None
        if type(entry_id) is not int:
            findings.error(
                "bad id", f"{kind} number {place} needs a whole number as `id`. Received: {short(entry)}"
            )
        elif entry_id in seen:
            findings.error("duplicate id", f"{kind} ids must be unique. Received: {entry_id} twice")
        else:
            seen.add(entry_id)
            yield entry_id, entry, f"{kind} {entry_id}"


def _read_photo(image: dict, root: Path | str, where: str) -> _Photo:
    path = photo_path(root, image.get("file_name"), where)
    stated = [image.get("width"), image.get("height")]
    size = numbers(stated, 2, "bad image size", f"{where}: width and height")
    if not (size > 0).all():
        raise BadEntry("bad image size", f"{where}: width and height must be above 0. Received: {stated}")
    return _Photo(path, *size.tolist())
