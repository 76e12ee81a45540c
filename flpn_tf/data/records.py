"""PersonRecord: one labelled person, whatever data set it came from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class PersonRecord:
    """One person in one photo.

    Attributes:
        image: the photo's path.
        image_id, person_id: ids of the data set.
        box: (4,) float64 [x, y, w, h], image pixels.
        area: of the person's segment, square image pixels (what OKS divides by).
        keypoints: (K, 3) float32 (x, y, v); v 0 unlabelled, 1 labelled but hidden, 2 visible.
    """

    image: Path
    image_id: int
    person_id: int
    box: np.ndarray
    area: float
    keypoints: np.ndarray
