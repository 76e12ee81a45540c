"""PCKh, MPII's measure (Andriluka et al. 2014), as the reference code of Xiao et al. 2018 computes it."""

import numpy as np

from flpn_tf.data.records import People
from flpn_tf.errors import InputError
from flpn_tf.evaluation.joints import truth_of
from flpn_tf.evaluation.pck import part_columns, pck

MPII_MEASURE = "PCKh@0.5; Mean@0.1 is PCKh@0.1; means of all labelled joints but pelvis and thorax"
_HEAD_PER_DIAGONAL = 0.6  # the head's length in diagonals of its box
_HEAD = ("head_top",)
NOT_IN_MEAN = ("pelvis", "thorax")


def head_lengths(people: People) -> np.ndarray:
    """(N,) image pixels; NaN where the data set has no head box.

    Raises:
        InputError: nobody has one.
    """
    boxes = [record.head_box for record in people.records]
    if all(box is None for box in boxes):
        raise InputError(
            f"{people.source}: has no head boxes, which PCKh is measured by; use MPII's .mat, or "
            "annot/valid.json with gt_valid.mat beside it"
        )
    return np.array(
        [np.nan if box is None else _HEAD_PER_DIAGONAL * np.linalg.norm(box[2:]) for box in boxes]
    )


def mpii_metrics(people: People, keypoints: np.ndarray, lengths: np.ndarray) -> dict[str, float]:
    """PCKh@0.5: Head (its top), Shoulder, …, Ankle and Mean, and Mean@0.1; NaN of nobody.

    That code's "Mean@0.1" is PCKh@0.11 (`pckAll[11]`); this is PCKh@0.1.

    Args:
        people: N records.
        keypoints: (N, K, 3), image pixels, the joints of the people's skeleton.
        lengths: (N,) of the heads; people with NaN do not count.
    """
    truth = truth_of(people)
    _, joints = pck(keypoints, truth, lengths, 0.5)
    truth[:, [name in NOT_IN_MEAN for name in people.skeleton.names], 2] = 0
    means = {
        "Mean": pck(keypoints, truth, lengths, 0.5)[0],
        "Mean@0.1": pck(keypoints, truth, lengths, 0.1)[0],
    }
    return part_columns(people.skeleton.names, joints, _HEAD) | means
