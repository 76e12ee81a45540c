"""Runs an estimator over the people of a data set."""

import itertools
import sys
from collections.abc import Sequence

import numpy as np

from flpn_tf.data.records import PersonRecord
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.runtime.images import read_image
from flpn_tf.runtime.native_stderr import discard_native_stderr


def predict_people(
    estimator: PoseEstimator, records: Sequence[PersonRecord], flip_test: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The pose in each record's own box, progress on stderr.

    Returns:
        keypoints (N, K, 3) (x, y, score) in image pixels, K the estimator's joints, and person scores (N,),
        in the records' order.

    Raises:
        InputError: a photo that cannot be read, or a box beside it, naming the photo.
    """
    keypoints = np.empty((len(records), len(estimator.skeleton), 3))
    scores = np.empty(len(records))
    done = 0
    by_image = itertools.groupby(range(len(records)), key=lambda index: records[index].image)
    for path, group in by_image:
        people = list(group)
        with discard_native_stderr():
            image = read_image(path)
        boxes = [records[i].box for i in people]
        poses = estimator.estimate(image, boxes, flip_test=flip_test, name=str(path))
        keypoints[people], scores[people] = poses.keypoints, poses.scores
        before, done = done, done + len(people)
        if before // 100 != done // 100 or done == len(records):
            print(f"{done}/{len(records)} people", file=sys.stderr, flush=True)
    return keypoints, scores
