"""MPII Human Pose (Andriluka et al. 2014) → People: the official .mat, or its usual json conversion.

Needs no TensorFlow. Written from the published descriptions of both files, not run on the downloads.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flpn_tf.data.annotation_files import (
    existing_photos,
    numbers,
    parse_json,
    photo_folder,
    photo_path,
    read_annotations,
    short,
)
from flpn_tf.data.findings import BadEntry, Findings
from flpn_tf.data.matlab import is_mat, parse_mat, parse_people_array, plain
from flpn_tf.data.mpii_mat import mat_people, mat_person
from flpn_tf.data.records import People, PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.skeleton import MPII_16


def read_mpii(
    annotations, images, split: str | None = None, head_boxes=None, findings: Findings | None = None
) -> People:
    """Reads the people of MPII.

    As in the reference code of Xiao et al. 2018, the centre is moved down by 15 · scale pixels and the box is
    the square of side 200 · scale around it, **without** that code's factor 1.25, which is the `padding` of
    `geometry.crop_affine`. It is not clipped to the photo. `area` is the box's. File pixels count from 1, the
    records' from 0. All people with a labelled joint are read, not `single_person` only.

    Joints that the .mat calls not visible are hidden (v 1); those whose visibility it does not state are
    visible (v 2), and so is every labelled joint of the json, which does not tell them apart
    (github.com/microsoft/human-pose-estimation.pytorch/issues/7).

    Args:
        annotations: `mpii_human_pose_v1_u12_1.mat`, or a json list of {image, joints [[x, y] · 16],
            joints_vis [16], center [x, y], scale}, such as annot/valid.json of that code; told by content.
        images: folder of the photos.
        split: of the .mat: "train" (default), "test" (has no joints) or "all". A json has none.
        head_boxes: for a json: the .mat with its people's `headboxes_src` (2, 2, N), such as gt_valid.mat.
        findings: where what is wrong is kept; by default the first error is raised.

    Returns:
        The people in the file's order; each one's photo exists. `image_id` is the photo's place in the file
        and `person_id` the person's among all of the file, whatever is left out. `head_box` joins the two
        corners that PCKh takes its length from.

    Raises:
        InputError: not such a file, no such split, a missing or malformed value, a missing photo, nobody
            left, or no scipy for a .mat. Where findings are collected, only what concerns the whole file.
    """
    source, root = Path(annotations), photo_folder(images)
    findings = Findings() if findings is None else findings
    content, sha256 = read_annotations(source)
    if is_mat(content, source):
        if head_boxes is not None:
            raise InputError(f"{source}: has head boxes of its own. Received: head_boxes={head_boxes}")
        release = plain(parse_mat(content, source, "RELEASE"))
        entries, read_person = mat_people(release, split or "train", source), mat_person
    else:
        if split is not None:
            raise InputError(f"{source}: an MPII json has no split. Received: split={split!r}")
        entries, read_person = _json_people(parse_json(content, source), head_boxes, source), _json_person
    records = []
    for image_id, person_id, photo, entry in entries:
        where = f"{source}: image {image_id}, person {person_id}"
        with findings.of_entry():
            if not isinstance(entry, dict):
                raise BadEntry("bad person", f"{where} must have named values. Received: {short(entry)}")
            person = read_person(entry, where, findings)
            record = _record(image_id, person_id, photo, person, root, where, findings)
            if record is not None:
                records.append(record)
    return People(existing_photos(records, source, findings), source, sha256, findings, "mpii")


def _record(image_id, person_id, photo, person: dict, root: Path | str, where: str, findings: Findings):
    """The PersonRecord of what `mat_person` returns, or None where the protocol leaves it out."""
    keypoints = np.zeros((len(MPII_16), 3))
    keypoints[:, 2] = person["v"]
    labelled = keypoints[:, 2] > 0
    if not labelled.any():
        return findings.leave_out("no labelled keypoint", person_id)
    keypoints[labelled, :2] = [
        numbers(xy, 2, "bad keypoints", f"{where}: x and y of joint {joint}") - 1
        for joint, xy in enumerate(person["joints"])
        if labelled[joint]
    ]
    if person["scale"] is None or person["center"] in (None, [None, None]):
        return findings.leave_out("no scale or centre", person_id)
    (scale,) = numbers([person["scale"]], 1, "bad scale", f"{where}: scale")
    centre = numbers(person["center"], 2, "bad centre", f"{where}: centre")
    if centre[0] == -1:  # the reference code's mark for none
        return findings.leave_out("no scale or centre", person_id)
    if scale <= 0:
        raise BadEntry("bad scale", f"{where}: scale must be above 0. Received: {scale:g}")
    centre += (0, 15 * scale)  # "to avoid cropping limbs"
    side = 200 * scale
    head = None
    if person["head"] is not None:
        corners = numbers(person["head"], 4, "bad head box", f"{where}: the head box").reshape(2, 2)
        head = np.concatenate([corners.min(axis=0) - 1, np.ptp(corners, axis=0)])
        if not head[2:].any():
            raise BadEntry("bad head box", f"{where}: the head box has no size. Received: {person['head']}")
    return PersonRecord(
        photo_path(root, photo, where),
        image_id,
        person_id,
        np.array([*(centre - 1 - side / 2), side, side]),
        float(side * side),
        keypoints.astype(np.float32),
        MPII_16,
        head_box=head,
    )


def _json_people(document, head_boxes, source: Path) -> Iterator[tuple]:
    """Yields (image id, person id, photo, entry), each entry with its "head" [x1, y1, x2, y2] or None."""
    if not isinstance(document, list) or not any(isinstance(e, dict) and "image" in e for e in document):
        raise InputError(
            f"{source}: is not an MPII json, a list of {{image, joints, joints_vis, center, scale}}"
        )
    heads = [None] * len(document)
    if head_boxes is not None:
        path = Path(head_boxes)
        boxes = parse_people_array(read_annotations(path)[0], path, "headboxes_src", (2, 2))
        heads = boxes.reshape(4, -1).T.tolist()
        if len(heads) != len(document):
            raise InputError(f"{path}: has head boxes of {len(heads)} people, {source} has {len(document)}")
    image_ids = {}
    for person_id, (entry, head) in enumerate(zip(document, heads, strict=True)):
        if isinstance(entry, dict):
            entry = entry | {"head": head}
        photo = entry.get("image") if isinstance(entry, dict) else None
        yield image_ids.setdefault(str(photo), len(image_ids)), person_id, photo, entry


def _json_person(entry: dict, where: str, findings: Findings) -> dict:
    """As `mat_person`. test.json has no joints."""
    count = len(MPII_16)
    joints = entry.get("joints")
    if joints is None:
        visible, joints = [0] * count, [None] * count
    else:
        visible = numbers(entry.get("joints_vis"), count, "bad keypoints", f"{where}: joints_vis")
    if not isinstance(joints, list) or len(joints) != count:
        raise BadEntry("bad keypoints", f"{where}: joints must be {count} [x, y]. Received: {short(joints)}")
    v = [2 if value > 0 else 0 for value in visible]
    return {"joints": joints, "v": v} | {key: entry.get(key) for key in ("center", "scale", "head")}
