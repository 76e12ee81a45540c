"""A model, or poses that something else has found, measured on a data set by its official protocol."""

import hashlib
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flpn_tf.data.coco import read_coco_photos
from flpn_tf.data.coco_results import poses_json, read_detections, read_poses
from flpn_tf.data.findings import Findings
from flpn_tf.data.records import CocoSet, People
from flpn_tf.data.sources import has_annotations, locate, read_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation.analysis import Analysis, analyse
from flpn_tf.evaluation.coco_eval import needs_pycocotools
from flpn_tf.evaluation.joints import joint_pairs, of_joints, truth_of
from flpn_tf.evaluation.lsp_eval import LSP_MEASURE, lsp_metrics
from flpn_tf.evaluation.metrics import coco_metrics, has_torsos
from flpn_tf.evaluation.mpii_eval import MPII_MEASURE, head_lengths, mpii_metrics
from flpn_tf.evaluation.partial import Partial
from flpn_tf.evaluation.pck import torso_lengths
from flpn_tf.evaluation.pose_set import PoseSet, check_nms
from flpn_tf.evaluation.predict import predict_people
from flpn_tf.presets import resolve_model
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.runtime.tensorflow_backends import missing_package
from flpn_tf.skeleton import Skeleton

GROUND_TRUTH = "gt"
MEASURES = {
    "coco": "AP and AR over OKS 0.50 to 0.95; with ground-truth boxes PCK@0.2 of the torso",
    "mpii": MPII_MEASURE,
    "lsp": LSP_MEASURE,
}
WEIGHTS = ".weights.h5"
_LENGTHS = {"mpii": "head box", "lsp": "torso"}
_PERSON = 1  # COCO's category of people
_DECIMALS = 4


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes:
        result: json-ready, see `evaluate`.
        people: N records with the joints that data and model share; None where the data have no labels.
        poses: those that count, of these joints.
        analysis: people compared with all poses, or None.
        category: of people in the data's json.
    """

    result: dict
    people: People | None
    poses: PoseSet
    analysis: Analysis | None
    category: int = _PERSON

    def poses_json(self) -> str:
        """The poses as COCO's evaluation server takes them.

        Raises:
            InputError: the model lacks joints of the data set, for which the format has no word.
        """
        if unmatched := self.result["unmatched"]:
            raise _cannot_be_results(unmatched)
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
    nms: str = "oks",
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
        nms: of the protocol coco, as of `PoseSet.suppressed`.
        config: of a `.weights.h5`: the training config that says which network it is of; by default
            `config.yaml` beside it. The network's joints are then the data's.
        threads: of the TFLite runtime.
        results: the file that the caller will write the poses to. While they are found, those found so far
            are kept in `<results>.partial`, and the same call goes on with them; the caller removes it.

    Returns:
        Its `result` is {"metrics", "measure", "dataset", "boxes", "boxes_sha256", "flip", "decode", "nms",
        "model", "model_sha256", "errors", "people", "left_out", "poses", "unmatched", "data",
        "data_sha256"}. Metrics are 0–100, None where there is nothing to measure. "people" are those counted;
        "left_out" is how many are not, and why; "unmatched" are the data's joints that the model has not;
        "errors" are `Analysis.shares`. Of poses from a json "flip", "decode" and "nms" are None.

    Raises:
        InputError: a bad model, data set, box, pose or option, naming which; skeletons that share fewer than
            half of their joints; nothing to measure by; or pycocotools is not installed.
    """
    if dataset not in (None, *MEASURES):
        raise InputError(f"dataset must be one of {', '.join(MEASURES)}. Received: {dataset!r}")
    check_nms(nms)
    with_detections = str(boxes) != GROUND_TRUTH
    from_json = Path(model).suffix == ".json"
    if from_json and (with_detections or flip_test or decode is not None):
        raise InputError(f"{model}: holds poses; boxes, flip and decode are for a model")
    own = not (with_detections or from_json)
    truth = _open_truth(data, images, split, dataset, own, with_detections, results is not None)
    if from_json:
        poses, facts = _read(Path(model), truth.coco)
        skeleton = truth.skeleton
    else:
        boxes = Path(boxes) if with_detections else None
        poses, skeleton, facts = _find(model, config, decode, threads, truth, boxes, flip_test, results)
        facts["nms"] = nms if truth.dataset == "coco" else None
    theirs, ours = joint_pairs(truth.skeleton, skeleton)
    return _measure(truth, poses.of_joints(ours), theirs, own, "none" if from_json else nms, facts)


def _cannot_be_results(unmatched) -> InputError:
    return InputError(f"results need every joint of the data set; the model has no {', '.join(unmatched)}")


class _Truth(NamedTuple):
    """What poses are measured by; `people` and `lengths` (N,) are None where there is nothing to measure."""

    people: People | None
    coco: CocoSet | None
    dataset: str
    lengths: np.ndarray | None

    @property
    def skeleton(self) -> Skeleton:
        return (self.coco or self.people).skeleton

    @property
    def source(self) -> People | CocoSet:
        """With the annotation file and its checksum."""
        return self.people or self.coco


def _open_truth(data, images, split, dataset, own: bool, with_detections: bool, with_results: bool) -> _Truth:
    if with_detections and not has_annotations(data, images, split):
        people, coco = None, read_coco_photos(*locate(data, images, split))
    else:
        people = read_people(data, images, split)
        coco = people.coco
    dataset = dataset or ("coco" if people is None else people.format)
    if not own and (dataset != "coco" or coco is None):
        raise InputError(
            f"{data}: is measured with one pose of each person: a model in ground-truth boxes, no poses or "
            "boxes from a json"
        )
    if people is None:
        if not with_results:
            raise InputError(f"{data}: has no annotations, so nothing can be measured; ask for --results")
        return _Truth(None, coco, dataset, None)
    if dataset == "coco":
        needs_pycocotools()
        measurable = own and has_torsos(people)
        lengths = torso_lengths(truth_of(people), people.skeleton) if measurable else None
    else:
        lengths = (
            head_lengths(people) if dataset == "mpii" else torso_lengths(truth_of(people), people.skeleton)
        )
        if not np.isfinite(lengths).any():
            raise InputError(
                f"{people.source}: nobody has a labelled {_LENGTHS[dataset]}, which {dataset} is measured by"
            )
    return _Truth(people, coco, dataset, lengths)


def _read(path: Path, coco: CocoSet) -> tuple[PoseSet, dict]:
    """Poses of a json, and where they are from."""
    image_ids, keypoints, scores, sha256 = read_poses(path, coco)
    facts = {"boxes": path.name, "boxes_sha256": None, "flip": None, "decode": None, "nms": None}
    return PoseSet(image_ids, keypoints, scores, np.ones(len(scores))), facts | {
        "model": path.name,
        "model_sha256": sha256,
    }


def _find(model, config, decode, threads, truth: _Truth, detections: Path | None, flip_test, results):
    """(poses of the model's joints, these, where they are from)."""
    findings, boxes_sha256 = Findings(), None
    if detections is None:
        records = truth.people.records
    else:
        records, boxes_sha256 = read_detections(detections, truth.coco, findings)
    path = Path(model)
    if path.name.endswith(WEIGHTS):
        try:
            with discard_native_stderr():
                from flpn_tf.training.networks import load_weights

                model = load_weights(path, config, truth.skeleton)
        except ModuleNotFoundError as error:
            raise missing_package(path, error) from error
    elif config is not None:
        raise InputError(f"only a {WEIGHTS} file needs a config. Received: {model}")
    else:
        model = path = resolve_model(model)
    with discard_native_stderr():
        estimator = PoseEstimator(model, threads, decode)
    unmatched = truth.skeleton.unmatched(estimator.skeleton)
    joint_pairs(truth.skeleton, estimator.skeleton)  # refuses before hours are spent
    if unmatched and results is not None:
        raise _cannot_be_results(unmatched)
    if unmatched:
        print(f"left out, the model has no such joint: {', '.join(unmatched)}", file=sys.stderr)
    facts = {
        "boxes": GROUND_TRUTH if detections is None else detections.name,
        "boxes_sha256": boxes_sha256,
        "flip": flip_test,
        "decode": estimator.codec.decode_rule,
        "model": path.name,
        "model_sha256": _sha256(path),
        "left_out": _counts(findings),
    }
    identity = {key: value for key, value in facts.items() if key != "left_out"}
    identity |= {"data_sha256": truth.source.sha256, "people": len(records)}
    partial = None if results is None else Partial(results, identity)
    return predict_people(estimator, records, flip_test, partial), estimator.skeleton, facts


def _measure(
    truth: _Truth, poses: PoseSet, joints: list[int], own: bool, nms: str, facts: dict
) -> Evaluation:
    people, lengths = truth.people, truth.lengths
    result = {"metrics": {}, "measure": None, "errors": {}, "people": 0, "dataset": truth.dataset} | facts
    analysis = None
    if people is None:
        poses = poses.suppressed(nms, truth.skeleton.subset(joints).sigmas)
    else:
        counted = np.isfinite(lengths) if truth.dataset != "coco" else np.ones(len(people), bool)
        left_out = dict(Counter(facts.get("left_out", {})) + Counter(_counts(people.findings)))
        if not counted.all():
            left_out[f"no {_LENGTHS[truth.dataset]} to measure by"] = int((~counted).sum())
        people, found = of_joints(people, joints), poses
        labelled = (truth_of(people)[..., 2] > 0).any(axis=1)
        if (counted & ~labelled).any():
            left_out["no labelled joint that the model has"] = int((counted & ~labelled).sum())
        counted &= labelled
        if truth.dataset == "coco":
            metrics, poses = coco_metrics(people, poses, nms, lengths)
        else:
            measure = mpii_metrics if truth.dataset == "mpii" else lsp_metrics
            metrics = measure(people, poses.keypoints, lengths)
        # In their own boxes all poses are looked at, also those that are too like another's.
        analysis = analyse(people, found if own else poses, own)
        result |= {
            "metrics": metrics,
            "measure": MEASURES[truth.dataset],
            "errors": analysis.shares(people.skeleton.names),
            "people": int(counted.sum()),
            "left_out": left_out,
        }
    result |= {
        "poses": len(poses),
        "unmatched": [name for i, name in enumerate(truth.skeleton.names) if i not in set(joints)],
        "data": truth.source.source.name,
        "data_sha256": truth.source.sha256,
    }
    category = truth.coco.categories[0] if truth.coco else _PERSON
    return Evaluation(_plain(result), people, poses, analysis, category)


def _counts(findings: Findings) -> dict[str, int]:
    return {reason: len(ids) for reason, ids in findings.left_out.items()}


def _plain(value):
    """Json-ready: numbers of Python, rounded, None in place of NaN."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, float):
        return None if np.isnan(value) else round(float(value), _DECIMALS)
    return value


def _sha256(path: Path) -> str:
    """Of a file, or of all files of a SavedModel folder in name order."""
    parts = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in parts:
        digest.update(file.read_bytes())
    return digest.hexdigest()
