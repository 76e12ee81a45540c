"""AP beside another implementation of COCO's protocol, faster-coco-eval (C++)."""

import copy

import numpy as np
import pytest
import random_crowds
from faster_coco_eval import COCO, COCOeval_faster

from flpn_tf.evaluation.coco_eval import keypoint_ap

NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("skeleton", random_crowds.SKELETONS, ids=lambda s: s.name)
def test_ten_numbers(skeleton, seed, tmp_path):
    rng = np.random.default_rng(seed)
    document = random_crowds.document(skeleton, rng, photos=100)
    results = random_crowds.poses(document, rng)
    found = keypoint_ap(random_crowds.read(document, tmp_path), *random_crowds.arrays(results))

    truth = COCO(copy.deepcopy(document))
    poses = truth.loadRes(copy.deepcopy(results))
    other = COCOeval_faster(truth, poses, "keypoints", kpt_oks_sigmas=list(skeleton.sigmas))
    for step in (other.evaluate, other.accumulate, other.summarize):
        step()
    expected = dict(zip(NAMES, 100 * np.array(other.stats[:10]), strict=True))
    assert found == pytest.approx(expected, rel=0, abs=1e-4)
    assert len(set(found.values())) == 10
    assert all(5 < value < 95 for value in found.values())
    assert_hard(document, results)


def assert_hard(document, results):
    """What a wrong protocol would be seen by is there."""
    assert len(results) >= 500
    people = document["annotations"]
    assert sum(person["iscrowd"] for person in people) >= 5
    assert sum(not person["iscrowd"] and not person["num_keypoints"] for person in people) >= 5
    photos = [result["image_id"] for result in results]
    assert set(photos) - {person["image_id"] for person in people}
    assert max(map(photos.count, photos)) > 20
    assert len({result["score"] for result in results}) < 12
