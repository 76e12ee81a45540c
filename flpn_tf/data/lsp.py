"""Leeds Sports Pose and its extended training set (Johnson and Everingham 2010, 2011) → People.

Needs no TensorFlow. Written from the published descriptions of both files, not run on the downloads.
"""

from pathlib import Path

import numpy as np

from flpn_tf.data.annotation_files import (
    existing_photos,
    in_folder,
    is_url,
    numbers,
    photo_folder,
    read_annotations,
)
from flpn_tf.data.findings import BadEntry, Findings
from flpn_tf.data.matlab import parse_people_array
from flpn_tf.data.records import People, PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.skeleton import LSP_14

_SPLITS = ("train", "test", "all")
_MARGIN = 0.12  # of the joints' extent, on each side


def read_lsp(annotations, images, split: str = "all", findings: Findings | None = None) -> People:
    """Reads the people of LSP or LSP-extended; the shape of `joints` says which.

        LSP           (3, 14, N): x, y, 1 = hidden (v 1) or 0 = visible (v 2); im0001.jpg, …
        LSP-extended  (14, 3, N): x, y, 1 = visible (v 2) or 0 = not labelled; im00001.jpg, …

    The sets have no boxes. Ours, not theirs, is the extent of the labelled joints, grown on each side by 12 %
    of it, at least to one pixel, and not clipped to the photo. `area` is the box's. File pixels count from
    1, the records' from 0.

    Args:
        annotations: the set's `joints.mat`.
        images: folder of the photos; their names may have the other set's number of digits.
        split: of LSP: "train" (its first half), "test" (its second) or "all". LSP-extended has "all" only.
        findings: where what is wrong is kept; by default the first error is raised.

    Returns:
        The people in the file's order; each one's photo exists. `image_id` and `person_id` are places in
        the file, whatever is left out.

    Raises:
        InputError: not such a file, no such split, a malformed value, a missing photo, nobody left, or no
            scipy. Where findings are collected, only what concerns the whole file.
    """
    source, root = Path(annotations), photo_folder(images)
    findings = Findings() if findings is None else findings
    content, sha256 = read_annotations(source)
    joints = parse_people_array(content, source, "joints", (3, 14), (14, 3))
    extended = joints.shape[:2] == (14, 3)
    # Both as (N, 14, 3).
    joints = joints.transpose(2, 0, 1) if extended else joints.transpose(2, 1, 0)
    splits = ("all",) if extended else _SPLITS
    if split not in splits:
        name = "LSP-extended" if extended else "LSP"
        raise InputError(f"{source}: split of {name} must be one of {', '.join(splits)}. Received: {split!r}")
    half = len(joints) // 2
    first, end = {"train": (0, half), "test": (half, len(joints)), "all": (0, len(joints))}[split]
    digits = _digits(root, 5 if extended else 4)
    records = []
    for place in range(first, end):
        photo = in_folder(root, f"im{place + 1:0{digits}d}.jpg")
        with findings.of_entry():
            keypoints = _keypoints(joints[place], extended, f"{source}: person {place}")
            labelled = keypoints[keypoints[:, 2] > 0, :2]
            if not len(labelled):
                findings.leave_out("no labelled keypoint", place)
                continue
            box = _box(labelled)
            area = float(box[2] * box[3])
            records.append(PersonRecord(photo, place, place, box, area, keypoints.astype(np.float32), LSP_14))
    return People(existing_photos(records, source, findings), source, sha256, findings, "lsp")


def _keypoints(joints: np.ndarray, extended: bool, where: str) -> np.ndarray:
    """(14, 3) float64 (x, y, v) of one person, pixels from 0."""
    flags = joints[:, 2]
    if not np.isin(flags, (0, 1)).all():
        raise BadEntry(
            "bad keypoints",
            f"{where}: the flags of the joints must be 0 or 1. Received: {flags.tolist()}",
        )
    v = 2 * flags if extended else 2 - flags
    xy = np.where(v[:, np.newaxis] > 0, joints[:, :2] - 1, 0)
    numbers(xy.ravel().tolist(), xy.size, "bad keypoints", f"{where}: x and y of the joints")
    return np.column_stack([xy, v])


def _box(points: np.ndarray) -> np.ndarray:
    """[x, y, w, h] around (n, 2) points, with the margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    size = np.maximum((high - low) * (1 + 2 * _MARGIN), 1.0)
    return np.concatenate([(low + high) / 2 - size / 2, size])


def _digits(root: Path | str, usual: int) -> int:
    """How many digits the photos' names have: those of the first photo, wherever it is there."""
    if is_url(root):
        return usual
    lengths = (usual, 9 - usual)
    return next((digits for digits in lengths if (root / f"im{1:0{digits}d}.jpg").is_file()), usual)
