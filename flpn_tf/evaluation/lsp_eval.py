"""PCK@0.2 of the torso, the usual measure on LSP (Yang and Ramanan 2013)."""

import numpy as np

from flpn_tf.data.records import People
from flpn_tf.evaluation.joints import truth_of
from flpn_tf.evaluation.pck import THRESHOLD, part_columns, pck

LSP_MEASURE = (
    "PCK@0.2 of the torso (left shoulder to right hip), Mean of all labelled joints; Mean@0.1 at half"
)
_HEAD = ("head_top", "neck")


def lsp_metrics(people: People, keypoints: np.ndarray, lengths: np.ndarray) -> dict[str, float]:
    """Head, Shoulder, …, Ankle, Mean (of all labelled joints) and Mean@0.1; NaN of nobody.

    Args:
        people: N records.
        keypoints: (N, K, 3), image pixels, the joints of the people's skeleton.
        lengths: (N,) of the torsos; people with NaN do not count.
    """
    truth = truth_of(people)
    mean, joints = pck(keypoints, truth, lengths, THRESHOLD)
    strict, _ = pck(keypoints, truth, lengths, THRESHOLD / 2)
    return part_columns(people.skeleton.names, joints, _HEAD) | {"Mean": mean, "Mean@0.1": strict}
