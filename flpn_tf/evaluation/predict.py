"""Runs an estimator over the people of a data set."""

import itertools
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from flpn_tf.data.entries import other_size
from flpn_tf.data.records import PersonRecord
from flpn_tf.evaluation.partial import Partial
from flpn_tf.evaluation.pose_set import PoseSet
from flpn_tf.geometry import shown_area
from flpn_tf.runtime.estimator import PoseEstimator, check_boxes
from flpn_tf.runtime.images import read_image
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.runtime.progress import Progress

BATCH_SIZE = 32
_SECONDS_A_PART = 60.0


def predict_people(
    estimator: PoseEstimator,
    records: Sequence[PersonRecord],
    flip_test: bool = False,
    partial: Partial | None = None,
) -> PoseSet:
    """The pose in each record's own box, progress on stderr.

    Photos are read and cropped in threads beside the model, which gets batches of people from several
    photos. Redirects file descriptor 2 meanwhile.

    Args:
        flip_test: average the heatmaps with those of the mirrored crops.
        partial: where to keep what is found when this is interrupted, and from time to time; an earlier
            part is gone on with.

    Returns:
        N poses of the estimator's joints, in the records' order; their scores are box score × mean of the
        joints' scores above 0.2.

    Raises:
        InputError: a photo that cannot be read or is not of the size that its annotations say, or a box
            beside it, naming the photo; or what `partial` holds is of something else.
    """
    keypoints = np.empty((len(records), len(estimator.skeleton), 3))
    scores = np.array([record.box_score for record in records], np.float64)
    areas = np.empty(len(records))
    size = estimator.spec.input_height, estimator.spec.input_width
    first = 0
    if partial is not None and (earlier := partial.read()) is not None:
        first = len(earlier[0])
        for array, part in zip((keypoints, scores, areas), earlier, strict=True):
            array[:first] = part
        print(f"{first} of {len(records)} people were found before", file=sys.stderr)
    done, progress, kept = first, Progress("people", len(records), first), time.monotonic()
    with discard_native_stderr() as stderr:
        try:
            for crops, affines in _batches(_crops(estimator, records[first:])):
                batch = slice(done, done + len(crops))
                keypoints[batch], factors = estimator.poses(crops, affines, flip_test)
                scores[batch] *= factors
                areas[batch] = [shown_area(affine, *size) for affine in affines]
                done = batch.stop
                progress.say(done, stderr)
                if partial is not None and time.monotonic() - kept > _SECONDS_A_PART:
                    partial.write(stderr, keypoints[:done], scores[:done], areas[:done])
                    kept = time.monotonic()
        except BaseException:
            if partial is not None and done > first:
                partial.write(stderr, keypoints[:done], scores[:done], areas[:done])
                print(
                    f"flpn: {done} of {len(records)} people are kept; the same command goes on", file=stderr
                )
            raise
    image_ids = np.array([record.image_id for record in records], np.int64)
    return PoseSet(image_ids, keypoints, scores, areas)


def _crops(estimator: PoseEstimator, records: Sequence[PersonRecord]) -> Iterator[tuple]:
    """(crops, affines) of the people of each photo, in the records' order, made ahead by threads."""

    def read(people: list[PersonRecord]):
        path, size = people[0].image, people[0].image_size
        image = read_image(path)
        if size is not None and image.shape[1::-1] != tuple(size):
            raise other_size(str(path), image.shape[:2], size[::-1])
        boxes = check_boxes([record.box for record in people], *image.shape[:2], str(path))
        return estimator.crops(image, boxes)

    photos = (list(people) for _, people in itertools.groupby(records, key=lambda record: record.image))
    threads = os.cpu_count() or 1
    pool, ahead = ThreadPoolExecutor(threads), deque()
    try:
        for people in photos:
            ahead.append(pool.submit(read, people))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(photos: Iterator[tuple]) -> Iterator[tuple]:
    """The same people in batches of `BATCH_SIZE`, the last smaller."""
    people = (person for crops, affines in photos for person in zip(crops, affines, strict=True))
    while batch := list(itertools.islice(people, BATCH_SIZE)):
        yield tuple(map(np.stack, zip(*batch, strict=True)))
