"""Plain person crops for calibration: the same geometry as inference."""

from collections.abc import Sequence

import numpy as np

from flpn_tf.data.records import PersonRecord
from flpn_tf.errors import InputError
from flpn_tf.geometry import crop_affine, warp
from flpn_tf.runtime.images import read_image


def sample_crops(
    records: Sequence[PersonRecord], count: int, height: int, width: int, padding: float, seed: int = 0
) -> np.ndarray:
    """`count` seeded random people, cropped as the estimator crops them.

    Returns:
        (count, height, width, 3) uint8 RGB.

    Raises:
        InputError: fewer than `count` people, or a photo that cannot be read.
    """
    if len(records) < count:
        raise InputError(f"{count} people are needed; give a larger data set. Received: {len(records)}")
    chosen = np.random.default_rng(seed).choice(len(records), count, replace=False)
    crops = np.empty((count, height, width, 3), np.uint8)
    for place, index in enumerate(chosen):
        record = records[index]
        affine = crop_affine(record.box, height, width, padding)
        crops[place] = warp(read_image(record.image), affine, height, width)
    return crops
