"""Data and model with different skeletons: joints meet by name."""

import dataclasses

import numpy as np

from flpn_tf.data.records import People
from flpn_tf.skeleton import Skeleton


def joint_pairs(data: Skeleton, model: Skeleton) -> tuple[list[int], list[int]]:
    """The places in both of the joints of the same name, in the data's order.

    Raises:
        InputError: they are fewer than half of the smaller skeleton's.
    """
    theirs, ours = zip(*data.match(model), strict=True)
    return list(theirs), list(ours)


def of_joints(people: People, joints: list[int]) -> People:
    """The people with these joints alone."""
    whole = people.skeleton
    if joints == list(range(len(whole))):
        return people
    skeleton = whole.subset(joints)
    records = [
        dataclasses.replace(record, keypoints=record.keypoints[joints], skeleton=skeleton)
        for record in people.records
    ]
    coco = people.coco
    if coco is not None:
        uncounted = [region._replace(keypoints=region.keypoints[joints]) for region in coco.uncounted]
        coco = coco._replace(skeleton=skeleton, uncounted=uncounted)
    return dataclasses.replace(people, records=records, coco=coco)


def truth_of(people: People) -> np.ndarray:
    """(N, K, 3) (x, y, v) of the records."""
    return np.stack([record.keypoints for record in people.records])
