"""PersonRecord: one labelled person, whatever data set it came from. Needs no TensorFlow."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flpn_tf.data.findings import Findings
from flpn_tf.errors import InputError
from flpn_tf.skeleton import Skeleton


@dataclass(frozen=True)
class PersonRecord:
    """One person in one photo.

    Attributes:
        image: the photo's path; a text where it is a URL, which only `flpn data prepare --beam` reads.
        image_id, person_id: ids of the data set, or places in it (from 0) where it has none.
        box: (4,) float64 [x, y, w, h], image pixels.
        area: of the person's segment, square image pixels (what OKS divides by); of the box where the
            data set has no segments.
        keypoints: (K, 3) float32 (x, y, v), image pixels; v 0 unlabelled, 1 labelled but hidden, 2 visible.
        skeleton: of the keypoints.
        image_size: (width, height) as the annotations state it, or None.
        box_score: the detector's; 1 for a ground-truth box.
        head_box: (4,) float64 [x, y, w, h] (MPII: what PCKh divides by), or None.
    """

    image: Path | str
    image_id: int
    person_id: int
    box: np.ndarray
    area: float
    keypoints: np.ndarray
    skeleton: Skeleton
    image_size: tuple[int, int] | None = None
    box_score: float = 1.0
    head_box: np.ndarray | None = None


@dataclass(frozen=True)
class People:
    """The people of one data set.

    Attributes:
        records: at least one, all of one skeleton.
        source: the annotation file.
        sha256: of that file.
        findings: what was left out, and why.

    Raises:
        InputError: there is no record.
    """

    records: list[PersonRecord]
    source: Path
    sha256: str
    findings: Findings = field(default_factory=Findings)

    def __post_init__(self):
        if not self.records:
            reasons = [f"{reason}: {len(ids)}" for reason, ids in self.findings.left_out.items()]
            raise InputError(
                f"{self.source}: holds no person with labelled keypoints"
                + (f" (left out: {', '.join(reasons)})" if reasons else "")
            )

    def __len__(self) -> int:
        return len(self.records)

    @property
    def skeleton(self) -> Skeleton:
        """Of every record."""
        return self.records[0].skeleton
