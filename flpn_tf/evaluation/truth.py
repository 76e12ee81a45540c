"""What poses are measured by: a data set's people, or at least its photos."""

from typing import NamedTuple

import numpy as np

from flpn_tf.data.coco import read_coco_photos
from flpn_tf.data.records import CocoSet, People
from flpn_tf.data.sources import has_annotations, locate, read_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation.coco_eval import needs_pycocotools
from flpn_tf.evaluation.joints import truth_of
from flpn_tf.evaluation.metrics import torsos_of
from flpn_tf.evaluation.mpii_eval import head_lengths
from flpn_tf.evaluation.pck import torso_lengths
from flpn_tf.skeleton import Skeleton

LENGTHS = {"mpii": "head box", "lsp": "torso"}


class Truth(NamedTuple):
    """Of a data set.

    Attributes:
        people: N, or None where the data set has no annotations.
        coco: of a COCO json.
        dataset: the protocol.
        lengths: (N,) what distances are measured by, NaN of people who cannot be; None where nobody can, as
            is allowed of the protocol coco only.
        photos: their folder.
    """

    people: People | None
    coco: CocoSet | None
    dataset: str
    lengths: np.ndarray | None
    photos: str

    @property
    def skeleton(self) -> Skeleton:
        """Of the people."""
        return (self.coco or self.people).skeleton

    @property
    def source(self) -> People | CocoSet:
        """With the annotation file and its checksum."""
        return self.people or self.coco


def open_truth(data, images, split: str | None, dataset: str | None, own: bool) -> Truth:
    """Reads a data set.

    Args:
        data, images, split: as for `read_people`.
        dataset: the protocol; by default that of the data's format.
        own: each person will have a pose of its own. Otherwise the data must be a COCO json, which may lack
            annotations.

    Raises:
        InputError: as `read_people`; the protocol does not fit; or pycocotools is missing.
    """
    annotations, photos = locate(data, images, split)
    if not own and not has_annotations(annotations, photos):
        people, coco = None, read_coco_photos(annotations, photos)
    else:
        people = read_people(data, images, split)
        coco = people.coco
    dataset = dataset or ("coco" if people is None else people.format)
    if not own and (dataset != "coco" or coco is None):
        raise InputError(
            f"{data}: is measured with one pose of each person: a model in ground-truth boxes, no poses or "
            f"boxes from a json. Received: dataset {dataset}"
        )
    lengths = None if people is None else _lengths(people, dataset)
    return Truth(people, coco, dataset, lengths, str(photos))


def _lengths(people: People, dataset: str) -> np.ndarray | None:
    if dataset == "coco":
        needs_pycocotools()
        return torsos_of(people)
    lengths = head_lengths(people) if dataset == "mpii" else torso_lengths(truth_of(people), people.skeleton)
    if np.isfinite(lengths).any():
        return lengths
    raise InputError(
        f"{people.source}: nobody has a labelled {LENGTHS[dataset]}, which {dataset} measures by"
    )
