"""The reference implementation reads the same people and has the same OKS constants."""

import numpy as np
import pytest
import synthetic_people
from pycocotools.coco import COCO
from pycocotools.cocoeval import Params

from flpn_tf.data.sources import read_people
from flpn_tf.skeleton import COCO_17


def test_oks_constants():
    np.testing.assert_allclose(COCO_17.sigmas, Params("keypoints").kpt_oks_sigmas)


@pytest.mark.parametrize("copies", [1, 2])
def test_people(tmp_path, copies):
    folder = synthetic_people.write(tmp_path, synthetic_people.document(people=4, copies=copies))
    records = read_people(folder).records
    reference = COCO(str(folder / "annotations.json"))
    people = reference.loadAnns(reference.getAnnIds(iscrowd=False))
    assert [record.person_id for record in records] == [person["id"] for person in people]
    for record, person in zip(records, people, strict=True):
        assert record.image.name == reference.imgs[person["image_id"]]["file_name"]
        np.testing.assert_array_equal(record.keypoints.ravel(), person["keypoints"])
        assert record.area == person["area"]
