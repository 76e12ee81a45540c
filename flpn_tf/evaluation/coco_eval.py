"""COCO keypoint AP: the reference implementation (pycocotools) on records and poses in memory."""

import contextlib
import io
import itertools

import numpy as np

from flpn_tf.data.records import People
from flpn_tf.errors import InputError

_CATEGORY = 1
# Where COCOeval keeps its ten keypoint numbers.
_PLACES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


def keypoint_ap(people: People, keypoints, scores, image_ids=None) -> dict[str, float | None]:
    """Average precision and recall over OKS 0.50, 0.55, …, 0.95 (cocodataset.org/#keypoints-eval).

    OKS takes the skeleton's sigmas and the records' areas; in each photo the 20 poses of the highest score
    count. The truth are the records and, of a COCO json, what else the official evaluation knows: crowds and
    people without a labelled joint, whose poses count neither way, and photos without people. Several
    categories of one skeleton count as one.

    Args:
        people: N records; joints with v = 0 do not count, nor do people who have no others.
        keypoints: (P, K, 3) (x, y, score), image pixels; K the joints of the people's skeleton. The joints'
            scores have no part in it.
        scores: (P,) of the poses.
        image_ids: (P,) of the poses' photos; by default those of the records, one pose each.

    Returns:
        "AP", "AP50", "AP75", "APM" and "APL" (areas of 32² to 96² pixels, and above), and the same of recall:
        "AR", …; 0–100; None where there is nobody to count, 0 where there is no pose.

    Raises:
        InputError: poses of another shape, not finite (COCOeval would take those for hits), or of unknown
            photos; or pycocotools is not installed.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = evaluator_of(people, keypoints, scores, image_ids)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return {name: _percent(value) for name, value in zip(_PLACES, evaluator.stats, strict=True)}


def ap_by_size(people: People, keypoints, scores, image_ids, edges) -> list[float | None]:
    """AP of people whose area's root is between two of `edges`, as APM and APL are; each as of `keypoint_ap`.

    Args:
        people, keypoints, scores, image_ids: of `keypoint_ap`.
        edges: rising, image pixels.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = evaluator_of(people, keypoints, scores, image_ids)
        sizes = list(itertools.pairwise(float(edge) ** 2 for edge in edges))
        evaluator.params.areaRng, evaluator.params.areaRngLbl = sizes, [str(size) for size in sizes]
        evaluator.evaluate()
        evaluator.accumulate()
    # (thresholds, recalls, categories, sizes, numbers of poses); -1 where there is nobody.
    precision = evaluator.eval["precision"][:, :, 0, :, 0]
    return [_percent(precision[..., size].mean()) for size in range(len(sizes))]


def _percent(value: float) -> float | None:
    return None if value == -1 else 100 * float(value)


def evaluator_of(people: People, keypoints, scores, image_ids):
    """A COCOeval that has not run."""
    if image_ids is None:
        image_ids = [record.image_id for record in people.records]
    keypoints, scores = np.asarray(keypoints, np.float64), np.asarray(scores, np.float64)
    expected = (len(image_ids), len(people.skeleton), 3)
    if keypoints.shape != expected or scores.shape != expected[:1]:
        raise InputError(
            f"AP needs poses {expected} and a score for each. Received: {keypoints.shape}, {scores.shape}"
        )
    if not (np.isfinite(keypoints).all() and np.isfinite(scores).all()):
        raise InputError("AP needs poses and scores that are finite; some are NaN or infinite")
    poses = [
        {
            "image_id": image_id,
            "category_id": _CATEGORY,
            "keypoints": joints.ravel().tolist(),
            "score": score,
        }
        for image_id, joints, score in zip(map(int, image_ids), keypoints, scores.tolist(), strict=True)
    ]
    needs_pycocotools()
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = _indexed(COCO(), _truth(people))
    if unknown := {pose["image_id"] for pose in poses} - truth.imgs.keys():
        raise InputError(f"{people.source}: has no such photos. Received: image ids {sorted(unknown)[:5]}")
    # loadRes fails where there is nothing to load.
    found = truth.loadRes(poses) if poses else _indexed(COCO(), truth.dataset | {"annotations": []})
    evaluator = COCOeval(truth, found, "keypoints")
    evaluator.params.kpt_oks_sigmas = np.array(people.skeleton.sigmas)
    return evaluator


def needs_pycocotools() -> None:
    """Raises InputError where pycocotools is not installed."""
    try:
        import pycocotools.cocoeval  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(
            f"AP needs {error.name}; install it with: pip install 'flpn-tf[evaluate]'"
        ) from error


def _indexed(coco, dataset: dict):
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _truth(people: People) -> dict:
    """The records, and what else is in their COCO json, as pycocotools reads them."""
    people_of = [(r.image_id, r.box, r.area, r.keypoints, False) for r in people.records]
    photos = {record.image_id for record in people.records}
    if people.coco is not None:
        photos |= people.coco.photos.keys()
        people_of += people.coco.uncounted
    return {
        "info": {},  # which loadRes of some versions copies
        "images": [{"id": image_id} for image_id in sorted(photos)],
        "categories": [{"id": _CATEGORY}],
        "annotations": [
            {
                "id": number,  # from 1: COCOeval reads a match with id 0 as none
                "image_id": image_id,
                "category_id": _CATEGORY,
                "bbox": box.tolist(),
                "area": area,
                "iscrowd": int(crowd),
                "keypoints": keypoints.ravel().tolist(),
                "num_keypoints": int((keypoints[:, 2] > 0).sum()),
            }
            for number, (image_id, box, area, keypoints, crowd) in enumerate(people_of, start=1)
        ],
    }
