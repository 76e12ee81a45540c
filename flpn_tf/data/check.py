"""Is a data set fit to train on? Found out before hours are spent on it. Needs no TensorFlow."""

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flpn_tf.data.annotation_files import BadEntry
from flpn_tf.data.findings import Findings
from flpn_tf.data.photo_header import PhotoHeader, check_pixels, header_of
from flpn_tf.data.records import PersonRecord
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import read_image, read_intact_image
from flpn_tf.runtime.native_stderr import capture_native_stderr
from flpn_tf.skeleton import Skeleton

_BATCH = 64  # photos between two reports of progress
_MOST_THREADS = 8  # each may hold a decoded photo of 192 MB
_TOLERANCE = 1.0  # pixels; annotation tools differ on where a photo's first pixel lies
_BOX_GROWTH = 1.5
_FEWEST_PEOPLE = 50  # whose shares can give rise to a warning
_ODD_POINTS = 25  # between the share of one left/right pair and that of the others
_FACE = {"eye", "eyes", "ear", "ears"}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CheckResult:
    """What `check_data` found.

    Attributes:
        source: the annotation file, or the data set where nobody could be read.
        sha256: of that file, or None.
        photos, people: those to train on, as read; some may be named in the errors.
        findings: errors, warnings and people left out.
        joints: name → {"labelled": people, "visible": % of them}; empty where nobody could be read.
        pairs: one {"left", "right", "people", "facing", "compared", "disagree"} a flip pair. "facing" is the
            % of the `people` with both labelled whose left joint lies right of the right one; "disagree" the
            % of the `compared` in whom most other pairs (eyes and ears aside) lie the other way round.
            None: of nobody.
    """

    source: Path
    sha256: str | None
    photos: int
    people: int
    findings: Findings
    joints: dict[str, dict] = field(default_factory=dict)
    pairs: list[dict] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """How many."""
        return sum(map(len, self.findings.errors.values()))

    @property
    def warnings(self) -> int:
        """How many."""
        return sum(map(len, self.findings.warnings.values()))


def check_data(data, images=None, split=None, quick=False, progress: Progress | None = None) -> CheckResult:
    """Reads a whole data set and finds all that is wrong with it or looks odd.

    Redirects file descriptor 2 meanwhile, as `read_intact_image` does: not for use beside other threads.

    Args:
        data, images, split: as for `flpn_tf.data.sources.read_people`.
        quick: of a JPEG or PNG, read the header only; pixels that are damaged are then not found.
        progress: called with the number of photos looked at, and of all.

    Raises:
        InputError: the data set cannot be read at all.
    """
    findings = Findings(collect=True)
    options = {} if split is None else {"split": split}
    try:
        people = read_people(data, images=images, findings=findings, **options)
    except InputError as error:
        if not findings.errors:
            raise
        findings.error("nothing left", str(error))
        return CheckResult(Path(data), None, 0, 0, findings)
    records, skeleton = people.records, people.skeleton
    sizes = _check_photos(records, findings, quick, progress)
    keypoints = np.stack([record.keypoints for record in records]).astype(np.float64)
    _check_joints(records, keypoints, sizes, findings)
    _check_duplicates(records, keypoints, findings)
    pairs = _left_right(keypoints, skeleton)
    _check_sides(pairs, findings)
    joints = _joints(keypoints, skeleton)
    return CheckResult(people.source, people.sha256, len(sizes), len(records), findings, joints, pairs)


class _Seen(NamedTuple):
    """A photo's upright (width, height) and its header, where known, or what is wrong with it."""

    size: tuple[int, int] | None = None
    header: PhotoHeader | None = None
    problem: BadEntry | None = None


def _check_photos(records, findings: Findings, quick: bool, progress: Progress | None) -> dict:
    """Looks at each photo once; returns photo → upright (width, height), None where it is not known."""
    stated: dict[Path, dict] = {}
    for record in records:
        stated.setdefault(record.image, {})[record.image_size] = None
    paths, sizes = list(stated), {}
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            for path, seen in zip(batch, _look_at(batch, quick, pool), strict=True):
                sizes[path] = seen.size
                if seen.problem is not None:
                    findings.error(seen.problem.kind, str(seen.problem))
                elif seen.header is None:
                    findings.warn(
                        "neither JPEG nor PNG", f"{path}: train from what flpn data prepare makes of it"
                    )
                for size in stated[path]:
                    _check_size(path, seen, size, findings)
            if progress is not None:
                progress(len(sizes), len(paths))
    return sizes


def _look_at(paths: list[Path], quick: bool, pool: ThreadPoolExecutor) -> list[_Seen]:
    """Decodes photos side by side.

    A decoder reports damage on descriptor 2, which all threads share. So where it reported any, each of the
    photos is decoded once more by itself.
    """
    with capture_native_stderr() as stream:
        seen = list(pool.map(partial(_look, quick=quick), paths))
        stream.seek(0)
        reported = stream.read(1)
    if quick or not reported:
        return seen
    return [_look_for_damage(path, one) for path, one in zip(paths, seen, strict=True)]


def _look(path: Path, quick: bool) -> _Seen:
    kind = "unreadable photo"
    try:
        header = header_of(path)
        if header is not None:
            kind = "photo too large"
            check_pixels(header.width, header.height, path)
            if quick:
                return _Seen(header.upright_size, header)
        kind = "undecodable photo"
        height, width = read_image(path).shape[:2]
        kind = "photo too large"  # of a format whose header is not read
        check_pixels(width, height, path)
    except InputError as error:
        return _Seen(problem=BadEntry(kind, str(error)))
    return _Seen((width, height), header)


def _look_for_damage(path: Path, seen: _Seen) -> _Seen:
    if seen.problem is None:
        try:
            read_intact_image(path)
        except InputError as error:
            return seen._replace(problem=BadEntry("damaged photo", str(error)))
    return seen


def _check_size(path: Path, seen: _Seen, stated: tuple[int, int] | None, findings: Findings) -> None:
    if seen.size is None or stated is None or seen.size == stated:
        return
    message = f"{path}: has {seen.size[0]}x{seen.size[1]} pixels"
    received = f"Received: {stated[0]}x{stated[1]}"
    if seen.header is not None and stated == (seen.header.width, seen.header.height):
        findings.error(
            "annotated before its turn",
            f"{message}: its EXIF orientation is applied here, the annotations seem to be made on the "
            f"unturned photo. {received}",
        )
    else:
        findings.error("wrong image size", f"{message}, the annotations say otherwise. {received}")


def _check_joints(records, keypoints: np.ndarray, sizes: dict, findings: Findings) -> None:
    """Each labelled joint by itself.

    Args:
        keypoints: (N, K, 3), the records'.
        sizes: photo → (width, height) or None, for the records that state none.
    """
    xy, codes = keypoints[..., :2], keypoints[..., 2]
    labelled = codes > 0
    bad = ~np.isin(codes, (0, 1, 2))
    for row, who, names in _people_with(bad, records):
        findings.error(
            "bad visibility",
            f"{who}: the visibility of {names} must be 0, 1 or 2. Received: {codes[row][bad[row]][0]:g}",
        )
    known = [record.image_size or sizes[record.image] or (np.inf, np.inf) for record in records]
    last = np.array(known)[:, np.newaxis] - 1
    beyond = np.where(labelled, np.maximum(-xy, xy - last).max(axis=-1), 0)  # pixels
    for row, who, names in _people_with(beyond > _TOLERANCE, records):
        findings.warn("joint off its photo", f"{who}: {names}, by up to {beyond[row].max():.0f} pixels")
    boxes = np.stack([record.box for record in records])[:, np.newaxis]
    half = boxes[..., 2:] / 2
    outside = (np.abs(xy - boxes[..., :2] - half) > half * _BOX_GROWTH).any(axis=-1)
    # Hidden joints are put where they would be, often far from what is seen of a person: so with 62 of the
    # 1,029 people in our COCO photos. No visible joint of theirs is.
    for _, who, names in _people_with((codes > 1) & outside, records):
        findings.warn("visible joint far off its box", f"{who}: {names}; are people mixed up?")


def _people_with(wrong: np.ndarray, records: list[PersonRecord]):
    """Yields (row, "person of photo", names of the joints) for the rows of `wrong` (N, K) with any."""
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        record = records[row]
        first, *more = (record.skeleton.names[joint] for joint in np.flatnonzero(wrong[row]))
        names = f"{first} and {len(more)} more" if more else first
        yield row, f"person {record.person_id} of {record.image}", names


def _check_duplicates(records, keypoints: np.ndarray, findings: Findings) -> None:
    labelled = keypoints * (keypoints[..., 2:] > 0) + 0.0  # the sum makes -0 a 0
    first_of = {}
    for record, values in zip(records, labelled, strict=True):
        first = first_of.setdefault((record.image, values.tobytes()), record)
        if first is not record and values.any():
            findings.warn(
                "duplicate person",
                f"person {record.person_id} of {record.image} has the keypoints of person {first.person_id}",
            )


def _joints(keypoints: np.ndarray, skeleton: Skeleton) -> dict[str, dict]:
    """The `joints` of a `CheckResult`."""
    labelled, visible = ((keypoints[..., 2] > code).sum(axis=0).tolist() for code in (0, 1))
    return {
        name: {"labelled": count, "visible": _percent(seen, count)}
        for name, count, seen in zip(skeleton.names, labelled, visible, strict=True)
    }


def _left_right(keypoints: np.ndarray, skeleton: Skeleton) -> list[dict]:
    """The `pairs` of a `CheckResult`."""
    names = skeleton.names
    pairs = [_left_first(names[a], names[b]) for a, b in skeleton.flip_pairs]
    if not pairs:
        return []
    left, right = ([names.index(name) for name in side] for side in zip(*pairs, strict=True))
    both = (keypoints[:, left, 2] > 0) & (keypoints[:, right, 2] > 0)  # (N, pairs)
    turn = np.sign(keypoints[:, left, 0] - keypoints[:, right, 0]) * both  # 1: of somebody who faces us
    votes = turn * [not _of_face(name) for name, _ in pairs]
    others = np.sign(votes.sum(axis=1, keepdims=True) - votes)
    compared = (turn != 0) & (others != 0)
    people, facing, among, disagree = (
        mask.sum(axis=0).tolist() for mask in (both, turn > 0, compared, compared & (turn != others))
    )
    return [
        {
            "left": pair[0],
            "right": pair[1],
            "people": people[i],
            "facing": _percent(facing[i], people[i]),
            "compared": among[i],
            "disagree": _percent(disagree[i], among[i]),
        }
        for i, pair in enumerate(pairs)
    ]


def _check_sides(pairs: list[dict], findings: Findings) -> None:
    """Warns of pairs whose left and right lie otherwise than those of most other pairs."""
    kind = "left and right swapped"
    body = [p for p in pairs if p["people"] >= _FEWEST_PEOPLE and not _of_face(p["left"])]
    shares = np.array([pair["facing"] for pair in body])
    odd = {}
    for i, (pair, share) in enumerate(zip(body, shares, strict=True)):
        others = np.median(np.delete(shares, i)) if len(shares) > 1 else share
        # The second condition spares the good pairs where one of three is swapped.
        if abs(share - others) > _ODD_POINTS and abs(share - np.median(shares)) > _ODD_POINTS / 2:
            odd[pair["left"]] = f"facing {share:.0f} %, the others {others:.0f} %"
    for pair in pairs:
        if pair["compared"] >= _FEWEST_PEOPLE and pair["disagree"] > 50:
            odd[pair["left"]] = (
                f"in {pair['disagree']:.0f} % of {pair['compared']} people they lie otherwise than most"
            )
    for pair in pairs:
        if pair["left"] in odd:
            name = f"{pair['left']} and {pair['right']}"
            findings.warn(kind, f"left and right of {name} may be swapped: {odd[pair['left']]}")


def _left_first(one: str, other: str) -> tuple[str, str]:
    return (other, one) if _words(one) & {"right", "r"} and _words(other) & {"left", "l"} else (one, other)


def _of_face(name: str) -> bool:
    """Such a pair is seldom labelled on people seen from behind."""
    return bool(_words(name) & _FACE)


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole else None
