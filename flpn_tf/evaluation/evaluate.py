"""A model, or poses that something else has found, measured on a data set by its official protocol."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from flpn_tf.data.coco import PERSON
from flpn_tf.data.coco_results import poses_json
from flpn_tf.data.records import People
from flpn_tf.errors import InputError
from flpn_tf.evaluation.analysis import Analysis, analyse
from flpn_tf.evaluation.found import (
    GROUND_TRUTH,
    Found,
    holds_poses,
    poses_of_json,
    poses_of_model,
)
from flpn_tf.evaluation.joints import joint_pairs, of_joints, truth_of
from flpn_tf.evaluation.lsp_eval import LSP_MEASURE, lsp_metrics
from flpn_tf.evaluation.metrics import coco_metrics
from flpn_tf.evaluation.mpii_eval import MPII_MEASURE, mpii_metrics
from flpn_tf.evaluation.pck import PCK, TORSO
from flpn_tf.evaluation.pose_set import PoseSet, check_nms
from flpn_tf.evaluation.truth import LENGTHS, Truth, open_truth

MEASURES = {
    "coco": "AP and AR over OKS 0.50 to 0.95",
    "mpii": MPII_MEASURE,
    "lsp": LSP_MEASURE,
}
_DECIMALS = 4


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        result: json-ready, see `evaluate`.
        people: those counted, with the joints that data and model share; None where the data have no labels.
        poses: those that count, of these joints.
        analysis: people compared with all poses, or None.
        category: of people in the data's json.
        everyone: `people` and those without a joint of these, of whom AP ignores the poses; by default
            nobody else.
    """

    result: dict
    people: People | None
    poses: PoseSet
    analysis: Analysis | None
    category: int = PERSON
    everyone: People | None = None

    def __post_init__(self):
        if self.everyone is None:
            object.__setattr__(self, "everyone", self.people)

    def poses_json(self) -> str:
        """The poses as COCO's evaluation server takes them.

        Raises:
            InputError: the model lacks joints of the data set, for which the format has no word.
        """
        if unmatched := self.result["unmatched"]:
            raise InputError(
                f"results need every joint of the data set; the model has no {', '.join(unmatched)}"
            )
        return poses_json(self.poses.image_ids, self.poses.keypoints, self.poses.scores, self.category)


def evaluate(
    model,
    data,
    images=None,
    split: str | None = None,
    dataset: str | None = None,
    boxes=GROUND_TRUTH,
    flip_test: bool = False,
    decode: str | None = None,
    nms: str | None = None,
    config=None,
    threads: int = 1,
    results=None,
) -> Evaluation:
    """Finds the poses of a data set's people and measures them.

        coco  AP and AR by pycocotools behind OKS-NMS 0.9; with ground-truth boxes also PCK@0.2, of all poses
        mpii  PCKh@0.5 and @0.1, with ground-truth boxes
        lsp   PCK@0.2 and @0.1 of the torso, with ground-truth boxes

    Joints of data and model meet by name; what only one of them has is left out. A person's score is box
    score × mean of the joints' scores above 0.2 (Xiao et al. 2018).

    Args:
        model: path (`.tflite`, `.keras`, `.weights.h5`, SavedModel), preset or alias; or poses in COCO's
            results format (`.json`), which are measured as they are.
        data, images, split: as for `read_people`. A COCO json may lack annotations if `boxes` are given; then
            nothing is measured.
        dataset: the protocol, a key of `MEASURES`; by default that of the data's format.
        boxes: "gt", or a json of a detector's boxes in COCO's results format.
        flip_test: average with the mirrored crop.
        decode: "argmax", "quarter" or "dark"; by default the model's own rule.
        nms: of the protocol coco and a model, as of `PoseSet.suppressed`; by default "oks".
        config: of a `.weights.h5`: the training config that says which network it is of; by default
            `config.yaml` beside it. The network's joints are then the data's.
        threads: of the TFLite runtime.
        results: the file that the caller will write the poses to. While they are found, those found so far
            are kept in `<results>.partial`, and the same call goes on with them; the caller removes it.

    Returns:
        Its `result` is {"metrics", "measure", "errors", "people", "poses", "left_out", "dataset", "boxes",
        "boxes_sha256", "flip", "decode", "model", "model_sha256", "config_sha256", "nms", "data",
        "data_sha256", "sigmas", "unmatched", "unmeasured"}. Metrics are 0–100, None where there is nothing to
        measure. "people" are those counted; "left_out" is how many people, boxes and poses are not, and why;
        "errors" are `Analysis.shares`; "sigmas" those of OKS by joint; "unmatched" the data's joints that the
        model has not, "unmeasured" the model's that the data have not. Of poses from a json "boxes", "flip",
        "decode" and "nms" are None.

    Raises:
        InputError: a bad model, data set, box, pose or option, naming which; skeletons that share fewer than
            half of their joints; nothing to measure by; or pycocotools is not installed.
    """
    if dataset not in (None, *MEASURES):
        raise InputError(f"dataset must be one of {', '.join(MEASURES)}. Received: {dataset!r}")
    if nms is not None:
        check_nms(nms)
    boxes = GROUND_TRUTH if boxes is None or str(boxes) == GROUND_TRUTH else boxes
    from_json = holds_poses(model)
    if from_json and not (boxes == GROUND_TRUTH and flip_test is False and decode is nms is config is None):
        raise InputError(f"{model}: holds poses; boxes, flip, decode, nms and config are for a model")
    own = boxes == GROUND_TRUTH and not from_json
    truth = open_truth(data, images, split, dataset, own)
    if truth.people is None and (results is None or from_json):
        raise InputError(
            f"{data}: has no annotations, so nothing can be measured; a model can write --results"
        )
    if nms is not None and truth.dataset != "coco":
        raise InputError(f"nms is of the protocol coco. Received: {nms}, {truth.dataset}")
    if from_json:
        return _measure(truth, poses_of_json(model, truth), own, "none")
    found = poses_of_model(model, truth, boxes, flip_test, decode, config, threads, results)
    return _measure(truth, found, own, nms or "oks")


def _measure(truth: Truth, found: Found, own: bool, nms: str) -> Evaluation:
    joints, ours = joint_pairs(truth.skeleton, found.skeleton)
    poses, shared = found.poses.of_joints(ours), truth.skeleton.subset(joints)
    result = {
        "metrics": {},
        "measure": None,
        "errors": {},
        "people": 0,
        "poses": len(poses),
        "left_out": _counts(found.findings.left_out),
        "dataset": truth.dataset,
        **found.facts,
        "nms": nms if truth.dataset == "coco" and found.facts["boxes"] else None,
        "data": "/".join(truth.source.source.absolute().parts[-2:]),
        "data_sha256": truth.source.sha256,
        "sigmas": dict(zip(shared.names, shared.sigmas, strict=True)),
        "unmatched": list(truth.skeleton.unmatched(found.skeleton)),
        "unmeasured": list(found.skeleton.unmatched(truth.skeleton)),
    }
    category = truth.coco.categories[0] if truth.coco else PERSON
    if truth.people is None:
        poses = poses.suppressed(nms, shared.sigmas)
        return Evaluation(_plain(result | {"poses": len(poses)}), None, poses, None, category)
    everyone = people = of_joints(truth.people, joints)
    if truth.dataset == "coco":
        metrics, kept = coco_metrics(people, poses, nms, truth.lengths if own else None)
    else:
        measure = mpii_metrics if truth.dataset == "mpii" else lsp_metrics
        metrics, kept = measure(people, poses.keypoints, truth.lengths), poses
    counted, left_out = _counted(truth, people)
    people = replace(people, records=[people.records[place] for place in counted])
    # In their own boxes all poses are looked at, also those that are too like another's.
    analysis = analyse(people, poses.at(counted) if own else kept, own)
    result |= {
        "metrics": metrics,
        "measure": _measure_of(truth, metrics, own),
        "errors": analysis.shares(shared.names),
        "people": len(people),
        "poses": len(kept),
        "left_out": dict(Counter(left_out) + Counter(result["left_out"])),
    }
    return Evaluation(_plain(result), people, kept, analysis, category, everyone)


def _measure_of(truth: Truth, metrics: dict, own: bool) -> str:
    measure = MEASURES[truth.dataset]
    if truth.dataset != "coco" or not own:
        return measure
    if PCK in metrics:
        return f"{measure}; {PCK} of the torso, of the {np.isfinite(truth.lengths).sum()} people who have one"
    return f"{measure}; no {PCK}: nobody has a torso, {' and '.join(TORSO)}"


def _counted(truth: Truth, people: People) -> tuple[np.ndarray, dict[str, int]]:
    """Places of the people who count, and why the others do not."""
    left_out = _counts(truth.people.findings.left_out)
    counted = np.ones(len(people), bool)
    if truth.dataset != "coco":
        counted = np.isfinite(truth.lengths)
        left_out[f"no {LENGTHS[truth.dataset]} to measure by"] = int((~counted).sum())
    labelled = (truth_of(people)[..., 2] > 0).any(axis=1)
    left_out["no labelled joint that the model has"] = int((counted & ~labelled).sum())
    counted &= labelled
    if not counted.any():
        raise InputError(f"{people.source}: nobody has a labelled joint that the model has")
    return np.flatnonzero(counted), {reason: count for reason, count in left_out.items() if count}


def _counts(left_out: dict[str, list]) -> dict[str, int]:
    return {reason: len(ids) for reason, ids in left_out.items()}


def _plain(value):
    """Json-ready: numbers of Python, rounded, None in place of NaN."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, float):
        return None if np.isnan(value) else round(float(value), _DECIMALS)
    return value
