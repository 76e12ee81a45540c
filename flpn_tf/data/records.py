"""PersonRecord: one labelled person, whatever data set it came from. Needs no TensorFlow."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

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


class CocoPhoto(NamedTuple):
    """A photo of a COCO json: its path or URL, and its size in pixels as the json states it."""

    path: Path | str
    width: float
    height: float


class Uncounted(NamedTuple):
    """An annotation that is no record, but that the official COCO evaluation knows.

    Attributes:
        image_id: of its photo, as the json has it.
        box: (4,) [x, y, w, h], image pixels, not clipped.
        area: square image pixels.
        keypoints: (K, 3) (x, y, v).
        crowd: it stands for many people; a pose in it is neither right nor wrong, nor is one in a
            person without labelled keypoints.
    """

    image_id: int
    box: np.ndarray
    area: float
    keypoints: np.ndarray
    crowd: bool


class CocoSet(NamedTuple):
    """What a COCO json says beside its people.

    Attributes:
        source, sha256: of the json.
        photos: image id → photo, also of those without people.
        skeleton: of the people, or None.
        categories: ids of those that have the skeleton.
        uncounted: the annotations of these categories that are no record.
    """

    source: Path
    sha256: str
    photos: dict[int, CocoPhoto]
    skeleton: Skeleton | None
    categories: tuple
    uncounted: list[Uncounted]

    def of_photos(self, image_ids) -> "CocoSet":
        """With these photos only."""
        wanted = set(image_ids)
        photos = {image_id: photo for image_id, photo in self.photos.items() if image_id in wanted}
        uncounted = [region for region in self.uncounted if region.image_id in wanted]
        return self._replace(photos=photos, uncounted=uncounted)


@dataclass(frozen=True)
class People:
    """The people of one data set.

    Attributes:
        records: at least one, all of one skeleton.
        source: the annotation file.
        sha256: of that file.
        findings: what was left out, and why.
        format: of the annotations: "coco", "mpii" or "lsp".
        coco: of a COCO json, what else is in it.

    Raises:
        InputError: there is no record.
    """

    records: list[PersonRecord]
    source: Path
    sha256: str
    findings: Findings = field(default_factory=Findings)
    format: str = "coco"
    coco: CocoSet | None = None

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
