"""COCO keypoint AP: the reference implementation (pycocotools) on records and poses in memory."""

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from flpn_tf.data.records import People
from flpn_tf.errors import InputError

_CATEGORY = 1
# Where COCOeval keeps each of its ten keypoint numbers that we report.
_PLACES = {"AP": 0, "AP50": 1, "AP75": 2, "APm": 3, "APl": 4, "AR": 5}


def keypoint_ap(people: People, keypoints: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """Average precision over OKS 0.50, 0.55, …, 0.95 (cocodataset.org/#keypoints-eval).

    OKS takes the skeleton's sigmas and the records' areas; in each photo the 20 poses of the highest score
    count. The truth is `people` alone, so what their data set leaves out (crowds, people without a labelled
    joint) is not there to be ignored, as it would be in the official evaluation of a detector's boxes.

    Args:
        people: N records; joints with v = 0 do not count, nor do people who have no others.
        keypoints: (N, K, 3) (x, y, score), image pixels, one pose a record, in their order; K the joints of
            the people's skeleton. The joints' scores have no part in it.
        scores: (N,) of the poses.

    Returns:
        "AP", "AP50", "AP75", "APm" and "APl" (areas of 32² to 96² pixels, and above) and "AR", 0–100; None
        where there is nobody to count.

    Raises:
        InputError: poses of another shape, or not finite: COCOeval would take those for hits.
    """
    keypoints, scores = np.asarray(keypoints, np.float64), np.asarray(scores, np.float64)
    expected = (len(people), len(people.skeleton), 3)
    if keypoints.shape != expected or scores.shape != expected[:1]:
        raise InputError(
            f"AP needs poses {expected} and a score for each. Received: {keypoints.shape}, {scores.shape}"
        )
    if not (np.isfinite(keypoints).all() and np.isfinite(scores).all()):
        raise InputError("AP needs poses and scores that are finite; some are NaN or infinite")
    poses = [
        {
            "image_id": record.image_id,
            "category_id": _CATEGORY,
            "keypoints": pose.ravel().tolist(),
            "score": score,
        }
        for record, pose, score in zip(people.records, keypoints, scores.tolist(), strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _ground_truth(people)
        evaluator = COCOeval(truth, truth.loadRes(poses), "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array(people.skeleton.sigmas)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    values = {name: float(evaluator.stats[place]) for name, place in _PLACES.items()}
    return {name: None if value == -1 else 100 * value for name, value in values.items()}


def _ground_truth(people: People) -> COCO:
    """The records as pycocotools reads them."""
    truth = COCO()
    truth.dataset = {
        "info": {},  # which loadRes of some versions copies
        "images": [{"id": image_id} for image_id in dict.fromkeys(r.image_id for r in people.records)],
        "categories": [{"id": _CATEGORY}],
        "annotations": [
            {
                "id": number,  # from 1: COCOeval reads a match with id 0 as none
                "image_id": record.image_id,
                "category_id": _CATEGORY,
                "bbox": record.box.tolist(),
                "area": record.area,
                "iscrowd": 0,
                "keypoints": record.keypoints.ravel().tolist(),
                "num_keypoints": int((record.keypoints[:, 2] > 0).sum()),
            }
            for number, record in enumerate(people.records, start=1)
        ],
    }
    truth.createIndex()
    return truth
