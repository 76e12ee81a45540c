"""COCO person-keypoints json (or any json of that shape) → People. Needs no TensorFlow."""

from pathlib import Path

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
from flpn_tf.data.records import CocoPhoto, CocoSet, People, PersonRecord, Uncounted
from flpn_tf.errors import InputError
from flpn_tf.skeleton import COCO_17, Skeleton

_LARGEST_ID = 2**63 - 1  # what arrays of ids can hold
PERSON = 1  # the category of people in COCO's own files


def read_coco(annotations, images, findings: Findings | None = None) -> People:
    """Reads the people of a COCO-format json.

    Kept, as in the reference code of Xiao et al. 2018: no crowd, at least one labelled keypoint, area
    above 0 (of the box where the json gives none), a box that meets the photo. As there, boxes are clipped to
    it and their sides shrunk by one pixel, to not less than 1.
    Annotations of categories without `keypoints` are left out.

    Args:
        annotations: the json; its `categories` name the keypoints. Beside `keypoints` and `skeleton` a
            category may give `flip_pairs` (0-based) and `sigmas`, as in `Skeleton.from_coco_category`.
        images: folder of the photos, or its URL; those of a URL are not looked for.
        findings: where what is wrong is kept; by default the first error is raised.

    Returns:
        The people in the json's order; each one's photo exists. Their `coco` has what else the official
        evaluation needs.

    Raises:
        InputError: not a COCO json, a missing or malformed value, an id given twice, two different lists of
            keypoint names, a file name that leaves the folder, a missing photo, or no person left. Where
            findings are collected, only what concerns the whole file.
    """
    source = Path(annotations)
    findings = Findings() if findings is None else findings
    document, coco = _open(source, images, findings, ("images", "annotations", "categories"))
    if not coco.categories:
        raise InputError(f"{source}: no category with a `keypoints` list; is this a keypoints json?")
    records = []
    for person_id, entry, where in _entries(document["annotations"], f"{source}: annotation", findings):
        with findings.of_entry():
            record = _read_annotation(person_id, entry, where, coco, findings)
            if record is not None:
                records.append(record)
    records = existing_photos(records, source, findings)
    return People(records, source, coco.sha256, findings, "coco", coco)


def read_coco_photos(annotations, images) -> CocoSet:
    """Of a json that need not have annotations, as COCO's `image_info_test-dev2017.json`.

    Where no category has keypoints, people are category 1 and have COCO's 17 joints.

    Args:
        annotations, images: as for `read_coco`.

    Raises:
        InputError: as `read_coco`.
    """
    _, coco = _open(Path(annotations), images, Findings(), ("images", "categories"))
    return coco if coco.categories else coco._replace(skeleton=COCO_17, categories=(PERSON,))


def _open(source: Path, images, findings: Findings, lists: tuple[str, ...]) -> tuple[dict, CocoSet]:
    """The document of a json, which has these lists, and its photos."""
    content, sha256 = read_annotations(source)
    document = _check_document(parse_json(content, source), lists, source)
    root, photos = photo_folder(images), {}
    for image_id, image, where in _entries(document["images"], f"{source}: image", findings):
        with findings.of_entry():
            photos[image_id] = _read_photo(image, root, where)
    skeleton, categories = _read_categories(document["categories"], source)
    return document, CocoSet(source, sha256, photos, skeleton, categories, [])


def _read_annotation(person_id, annotation, where, coco: CocoSet, findings: Findings):
    """The PersonRecord of one annotation, or None where the protocol leaves it out."""
    values, skeleton = annotation.get("keypoints"), coco.skeleton
    if annotation.get("category_id") not in coco.categories or values is None:
        return findings.leave_out("of a category without keypoints, or has none", person_id)

    def leave_out(reason, keypoints):
        findings.leave_out(reason, person_id)
        region = _read_uncounted(annotation, keypoints)
        if region is None:
            findings.warn("no box or area", f"{where}: {reason}, and has no bbox or area; AP misses it")
        else:
            coco.uncounted.append(region)

    image_id, photo = photo_of(annotation, coco, where)
    crowd = annotation.get("iscrowd")
    if crowd and values == []:  # as some tools write it
        values = [0] * (3 * len(skeleton))
    keypoints = numbers(values, 3 * len(skeleton), "bad keypoints", f"{where}: keypoints").reshape(-1, 3)
    codes = keypoints[:, 2]
    if not np.isin(codes, (0, 1, 2)).all():
        wrong = codes[~np.isin(codes, (0, 1, 2))][0]
        raise BadEntry("bad visibility", f"{where}: visibility must be 0, 1 or 2. Received: {wrong:g}")
    if crowd:
        return leave_out("a crowd", keypoints)
    labelled = int((codes > 0).sum())
    if not labelled:
        return leave_out("no labelled keypoint", keypoints)
    given = numbers(annotation.get("bbox"), 4, "bad box", f"{where}: bbox")
    box = clipped(given, photo.width, photo.height)
    if box is None:
        return leave_out("a box outside its photo", keypoints)
    (area,) = numbers([annotation.get("area", float(box[2] * box[3]))], 1, "bad area", f"{where}: area")
    if area <= 0:
        return leave_out("no area", keypoints)
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


def _read_uncounted(annotation: dict, keypoints: np.ndarray) -> Uncounted | None:
    try:
        box = numbers(annotation.get("bbox"), 4, "bad box", "bbox")
        (area,) = numbers([annotation.get("area", float(box[2] * box[3]))], 1, "bad area", "area")
    except BadEntry:
        return None
    crowd = bool(annotation.get("iscrowd"))
    return Uncounted(annotation.get("image_id"), box, float(area), keypoints, crowd)


def photo_of(entry: dict, coco: CocoSet, where: str) -> tuple[int, CocoPhoto]:
    """(image_id, photo) of an annotation or a result.

    Raises:
        BadEntry: its `image_id` is that of no photo.
    """
    image_id = entry.get("image_id")
    if type(image_id) is not int or image_id not in coco.photos:
        raise BadEntry(
            "unknown image_id",
            f"{where}: there is no image with its image_id. Received: {short(image_id)}",
        )
    return image_id, coco.photos[image_id]


def _check_document(document, lists: tuple[str, ...], path: Path) -> dict:
    missing = [k for k in lists if not isinstance(document, dict) or not isinstance(document.get(k), list)]
    if missing:
        raise InputError(f"{path}: is not a COCO json, the lists {', '.join(missing)} are missing")
    return document


def _read_categories(categories: list, source: Path) -> tuple[Skeleton | None, tuple]:
    """The skeleton and the ids of the categories that have it; (None, ()) where none has."""
    categories = [c for c in categories if isinstance(c, dict) and c.get("keypoints")]
    if not categories:
        return None, ()
    first, *others = categories
    if any(other["keypoints"] != first["keypoints"] for other in others):
        raise InputError(f"{source}: its categories name different keypoints; keep those of one kind of body")
    try:
        skeleton = Skeleton.from_coco_category(first, first.get("flip_pairs"), first.get("sigmas"))
    except (InputError, TypeError) as error:
        raise InputError(f"{source}: {error}") from error
    return skeleton, tuple(category.get("id") for category in categories)


def _entries(entries: list, kind: str, findings: Findings):
    """Yields (id, entry, "kind id" for messages); ids must be whole numbers and unique."""
    seen = set()
    for place, entry in enumerate(entries):
        entry_id = entry.get("id") if isinstance(entry, dict) else None
        if type(entry_id) is not int or abs(entry_id) > _LARGEST_ID:
            findings.error(
                "bad id",
                f"{kind} number {place} needs a whole number of 64 bits as `id`. Received: {short(entry)}",
            )
        elif entry_id in seen:
            findings.error("duplicate id", f"{kind} ids must be unique. Received: {entry_id} twice")
        else:
            seen.add(entry_id)
            yield entry_id, entry, f"{kind} {entry_id}"


def _read_photo(image: dict, root: Path | str, where: str) -> CocoPhoto:
    path = photo_path(root, image.get("file_name"), where)
    stated = [image.get("width"), image.get("height")]
    size = numbers(stated, 2, "bad image size", f"{where}: width and height")
    if not (size > 0).all():
        raise BadEntry("bad image size", f"{where}: width and height must be above 0. Received: {stated}")
    return CocoPhoto(path, *size.tolist())
