"""Is a data set fit to train on? Found out before hours are spent on it. Needs no TensorFlow."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flpn_tf.data.check_people import check_duplicates, check_joints, check_sides, count_joints, left_right
from flpn_tf.data.check_photos import Progress, check_photos
from flpn_tf.data.findings import Findings
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError


@dataclass(frozen=True)
class CheckResult:
    """What `check_data` found.

    Attributes:
        source: the annotation file, or the data set where nobody could be read.
        sha256: of that file, or None.
        photos, people: those to train on, as read; some may be named in the errors.
        findings: errors, warnings and people left out.
        joints: name → {"labelled": people, "visible": % of them}; empty where nobody could be read.
        pairs: one {"left", "right", "people", "facing", "compared", "disagree"} a flip pair whose names say
            which is which. "facing" is the % of the `people` with both labelled whose left joint lies right
            of the right one; "disagree" the % of the `compared` in whom most other pairs (eyes and ears
            aside) lie the other way round. None: of nobody.
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
    try:
        people = read_people(data, images, split, findings)
    except InputError as error:
        if not findings.errors:
            raise
        findings.error("nothing left", str(error))
        return CheckResult(Path(data), None, 0, 0, findings)
    records, skeleton = people.records, people.skeleton
    sizes = check_photos(records, findings, quick, progress)
    keypoints = np.stack([record.keypoints for record in records]).astype(np.float64)
    check_joints(records, keypoints, sizes, findings)
    check_duplicates(records, keypoints, findings)
    pairs = left_right(keypoints, skeleton)
    check_sides(pairs, findings)
    joints = count_joints(keypoints, skeleton)
    return CheckResult(people.source, people.sha256, len(sizes), len(records), findings, joints, pairs)
