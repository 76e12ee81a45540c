import dataclasses

import numpy as np
import pytest
import random_crowds

from flpn_tf.data.holdout import hold_out
from flpn_tf.errors import InputError
from flpn_tf.evaluation.coco_eval import keypoint_ap


@pytest.fixture
def document():
    return random_crowds.document(random_crowds.FIVE, np.random.default_rng(3), photos=60)


def ids(people):
    return [record.person_id for record in people.records]


def test_photos_and_what_is_in_them_are_on_one_side(document, tmp_path):
    whole = random_crowds.read(document, tmp_path)
    train, held = hold_out(whole, 0.3)
    assert sorted(ids(train) + ids(held)) == sorted(ids(whole))
    assert train.coco.photos | held.coco.photos == whole.coco.photos
    assert not train.coco.photos.keys() & held.coco.photos.keys()
    assert len(train.coco.uncounted) + len(held.coco.uncounted) == len(whole.coco.uncounted)
    for side in (train, held):
        people = {record.image_id for record in side.records}
        assert people <= side.coco.photos.keys()
        assert side.coco.photos.keys() - people  # photos without people, too, are on both sides
        assert {region.image_id for region in side.coco.uncounted} <= side.coco.photos.keys()
        assert side.coco.uncounted
        assert (side.source, side.sha256) == (whole.source, whole.sha256)
    assert 5 < len(held.coco.photos) < 30


def test_a_side_is_measured_by_itself(document, tmp_path):
    """As a json of its photos alone."""
    _, held = hold_out(random_crowds.read(document, tmp_path), 0.3)
    results = random_crowds.poses(document, np.random.default_rng(0))
    results = [result for result in results if result["image_id"] in held.coco.photos]
    for key, name in (("images", "id"), ("annotations", "image_id")):
        document[key] = [entry for entry in document[key] if entry[name] in held.coco.photos]
    alone = random_crowds.read(document, tmp_path)
    poses = random_crowds.arrays(results)
    assert keypoint_ap(held, *poses) == keypoint_ap(alone, *poses)


def test_the_split_stays_when_photos_are_added(document, tmp_path):
    first = hold_out(random_crowds.read(document, tmp_path), 0.3)
    more = random_crowds.document(random_crowds.FIVE, np.random.default_rng(4), photos=90)
    known = {image["id"] for image in document["images"]}
    document["images"] += [image for image in more["images"] if image["id"] not in known]
    added = [person for person in more["annotations"] if person["image_id"] not in known]
    document["annotations"] += [person | {"id": 10_000 + person["id"]} for person in added]
    second = hold_out(random_crowds.read(document, tmp_path), 0.3)
    for before, after in zip(first, second, strict=True):
        assert set(ids(before)) < set(ids(after))
        assert before.coco.photos.keys() < after.coco.photos.keys()


def test_data_sets_without_coco(document, tmp_path):
    whole = dataclasses.replace(random_crowds.read(document, tmp_path), coco=None)
    train, held = hold_out(whole, 0.3)
    assert train.coco is None
    assert held.coco is None


@pytest.mark.parametrize("share", [0, 1])
def test_a_side_without_people(document, tmp_path, share):
    with pytest.raises(InputError, match=f"must leave people on both sides; .* Received: {share}"):
        hold_out(random_crowds.read(document, tmp_path), share)
