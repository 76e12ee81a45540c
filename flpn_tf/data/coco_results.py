"""COCO's results format, a json list of boxes or of poses with scores. Needs no TensorFlow."""

import json
from pathlib import Path

import numpy as np

from flpn_tf.data.annotation_files import (
    clipped,
    existing_photos,
    numbers,
    parse_json,
    read_annotations,
    short,
)
from flpn_tf.data.coco import photo_of
from flpn_tf.data.findings import BadEntry, Findings
from flpn_tf.data.records import CocoSet, PersonRecord
from flpn_tf.errors import InputError

_OTHER_CATEGORY = "of a category without keypoints"
_DECIMALS = 3  # of a pixel; more than any network resolves


def read_detections(
    detections, coco: CocoSet, findings: Findings | None = None
) -> tuple[list[PersonRecord], str]:
    """The boxes of people in a detector's results.

    Args:
        detections: json list of {image_id, category_id, bbox, score}.
        coco: whose photos they are of.
        findings: where what is wrong is kept; by default the first error is raised.

    Returns:
        The boxes of the categories with keypoints, in the file's order, each with its score and nothing
        labelled, and the file's sha256. Boxes are clipped as `read_coco`'s; those outside their photo are
        left out.

    Raises:
        InputError: not such a file, a malformed value, an unknown photo, a box given twice, a missing
            photo, or boxes of other categories only.
    """
    source = Path(detections)
    findings = Findings() if findings is None else findings
    entries, sha256 = _read(source, coco, "detections", "bbox")
    records, seen = [], {}
    for place, entry, where in entries:
        with findings.of_entry():
            record = _read_detection(place, entry, where, coco, findings)
            if record is not None:
                _refuse_repeat(seen, (entry["image_id"], *entry["bbox"], entry["score"]), place, where)
                records.append(record)
    return existing_photos(records, source, findings), sha256


def read_poses(
    results, coco: CocoSet, findings: Findings | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """The poses in the results of a pose network, this package's or another's.

    Args:
        results: json list of {image_id, category_id, keypoints, score}.
        coco: whose photos they are of.
        findings: where those left out are kept.

    Returns:
        (P,) int64 image ids, (P, K, 3) keypoints (x, y, score), image pixels, (P,) scores, and the file's
        sha256; those of the categories with keypoints, in the file's order, P may be 0.

    Raises:
        InputError: not such a file, a malformed value, an unknown photo, a pose given twice, or poses of
            other categories only.
    """
    source, count = Path(results), len(coco.skeleton)
    findings = Findings() if findings is None else findings
    entries, sha256 = _read(source, coco, "poses", "keypoints")
    image_ids, keypoints, scores, seen = [], [], [], {}
    for place, entry, where in entries:
        if entry.get("category_id") not in coco.categories:
            findings.leave_out(_OTHER_CATEGORY, place)
            continue
        image_id, _ = photo_of(entry, coco, where)
        joints = numbers(
            entry.get("keypoints"), 3 * count, "bad keypoints", f"{where}: keypoints (x, y, score of {count})"
        )
        (score,) = numbers([entry.get("score")], 1, "bad score", f"{where}: score")
        _refuse_repeat(seen, (image_id, *joints.tolist(), score), place, where)
        image_ids.append(image_id)
        keypoints.append(joints.reshape(count, 3))
        scores.append(score)
    return (
        np.array(image_ids, np.int64),
        np.array(keypoints, np.float64).reshape(-1, count, 3),
        np.array(scores, np.float64),
        sha256,
    )


def poses_json(image_ids, keypoints, scores, category: int) -> str:
    """The json that COCO's evaluation server takes, one pose a line.

    Args:
        image_ids: (P,).
        keypoints: (P, K, 3) (x, y, score), image pixels, the joints in the data set's order.
        scores: (P,).
        category: of the people, 1 in COCO.
    """
    lines = [
        json.dumps(
            {
                "image_id": int(image_id),
                "category_id": category,
                "keypoints": [round(value, _DECIMALS) for value in joints.ravel().tolist()],
                "score": float(score),
            }
        )
        for image_id, joints, score in zip(image_ids, keypoints, scores, strict=True)
    ]
    return "[" + ",\n".join(lines) + "]\n"


def _read_detection(place: int, entry: dict, where: str, coco: CocoSet, findings: Findings):
    """The PersonRecord of one box, or None where the protocol leaves it out."""
    if entry.get("category_id") not in coco.categories:
        return findings.leave_out(_OTHER_CATEGORY, place)
    image_id, photo = photo_of(entry, coco, where)
    given = numbers(entry.get("bbox"), 4, "bad box", f"{where}: bbox")
    (score,) = numbers([entry.get("score")], 1, "bad score", f"{where}: score")
    box = clipped(given, photo.width, photo.height)
    if box is None:
        return findings.leave_out("a box outside its photo", place)
    return PersonRecord(
        photo.path,
        image_id,
        place,
        box,
        float(box[2] * box[3]),
        np.zeros((len(coco.skeleton), 3), np.float32),
        coco.skeleton,
        (int(photo.width), int(photo.height)),
        float(score),
    )


def _read(path: Path, coco: CocoSet, kind: str, value: str):
    """[(place, entry, "file: entry number place")] of a results json, and its sha256."""
    content, sha256 = read_annotations(path)
    document = parse_json(content, path)
    if not isinstance(document, list) or not all(isinstance(entry, dict) for entry in document):
        raise InputError(
            f"{path}: is no json of {kind}, a list of {{image_id, category_id, {value}, score}}. "
            f"Received: {short(document)}"
        )
    if document and not any(value in entry for entry in document):
        raise InputError(
            f"{path}: is no json of {kind}, no entry has {value}. Received: {short(list(document[0]))}"
        )
    categories = {str(entry.get("category_id")) for entry in document}
    if document and not any(entry.get("category_id") in coco.categories for entry in document):
        wanted = ", ".join(map(str, coco.categories))
        raise InputError(
            f"{path}: none of its {kind} has the category_id {wanted} of the data set's people. "
            f"Received: {short(sorted(categories))}"
        )
    one = kind.removesuffix("s")
    return [(place, entry, f"{path}: {one} number {place}") for place, entry in enumerate(document)], sha256


def _refuse_repeat(seen: dict, key: tuple, place: int, where: str) -> None:
    first = seen.setdefault(key, place)
    if first != place:
        raise BadEntry("given twice", f"{where}: is the same as number {first}; remove one")
