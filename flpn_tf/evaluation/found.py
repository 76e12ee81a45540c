"""The poses to measure: a model's, or those of a json."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flpn_tf.data.coco_results import read_detections, read_poses
from flpn_tf.data.findings import Findings
from flpn_tf.errors import InputError
from flpn_tf.evaluation.joints import joint_pairs
from flpn_tf.evaluation.partial import Partial
from flpn_tf.evaluation.pose_set import PoseSet
from flpn_tf.evaluation.predict import predict_people
from flpn_tf.evaluation.truth import Truth
from flpn_tf.presets import label_of, resolve_model
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.runtime.files import sha256_of
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.runtime.tensorflow_backends import missing_package
from flpn_tf.skeleton import Skeleton

GROUND_TRUTH = "gt"
WEIGHTS = ".weights.h5"


@dataclass(frozen=True)
class Found:
    """Poses and where they are from.

    Attributes:
        poses: of the joints of `skeleton`.
        facts: "boxes", "boxes_sha256", "flip", "decode", "model", "model_sha256" and "config_sha256",
            json-ready.
        findings: which boxes or poses do not count.
    """

    poses: PoseSet
    skeleton: Skeleton
    facts: Mapping
    findings: Findings


def holds_poses(model) -> bool:
    """Whether MODEL is a json of poses."""
    return Path(model).suffix == ".json"


def model_path(model) -> Path:
    """The file or folder that MODEL means.

    Raises:
        InputError: as `resolve_model`.
    """
    path = Path(model)
    return path if holds_poses(path) or path.name.endswith(WEIGHTS) else resolve_model(model)


def poses_of_json(results, truth: Truth) -> Found:
    """Poses as `read_poses` reads them."""
    path, findings = Path(results), Findings()
    image_ids, keypoints, scores, sha256 = read_poses(path, truth.coco, findings)
    facts = dict.fromkeys(("boxes", "boxes_sha256", "flip", "decode", "config_sha256"))
    facts |= {"model": path.name, "model_sha256": sha256}
    poses = PoseSet(image_ids, keypoints, scores, np.ones(len(scores)))
    return Found(poses, truth.skeleton, facts, findings)


def poses_of_model(
    model, truth: Truth, boxes, flip_test: bool, decode: str | None, config, threads: int, results
) -> Found:
    """A model's poses in the boxes of the people, or of a detector's json; see `evaluate`."""
    findings, boxes_sha256, name = Findings(), None, GROUND_TRUTH
    if boxes == GROUND_TRUTH:
        records = truth.people.records
    else:
        records, boxes_sha256 = read_detections(boxes, truth.coco, findings)
        name = Path(boxes).name
    path = model_path(model)
    estimator, config_sha256 = _open(path, config, decode, threads, truth.skeleton)
    joint_pairs(truth.skeleton, estimator.skeleton)  # refuses before hours are spent
    unmatched = truth.skeleton.unmatched(estimator.skeleton)
    if unmatched and results is not None:
        names = ", ".join(unmatched)
        raise InputError(f"{path}: results need every joint of the data set; the model has no {names}")
    facts = {
        "boxes": name,
        "boxes_sha256": boxes_sha256,
        "flip": flip_test,
        "decode": estimator.codec.decode_rule,
        "model": label_of(path),
        "model_sha256": sha256_of(path),
        "config_sha256": config_sha256,
    }
    partial = None
    if results is not None:
        identity = facts | {
            "data_sha256": truth.source.sha256,
            "photos": truth.photos,
            "people": len(records),
        }
        partial = Partial(results, identity)
    return Found(predict_people(estimator, records, flip_test, partial), estimator.skeleton, facts, findings)


def _open(path: Path, config, decode, threads, skeleton: Skeleton) -> tuple[PoseEstimator, str | None]:
    """The estimator, and the checksum of the config that weights alone need."""
    if not path.name.endswith(WEIGHTS):
        if config is not None:
            raise InputError(f"only a {WEIGHTS} file needs a config. Received: {path}")
        with discard_native_stderr():
            return PoseEstimator(path, threads, decode), None
    try:
        with discard_native_stderr():
            from flpn_tf.training.networks import config_of, load_weights

            network = load_weights(path, config, skeleton)
            return PoseEstimator(network, threads, decode), sha256_of(config_of(path, config))
    except ModuleNotFoundError as error:
        raise missing_package(path, error) from error
