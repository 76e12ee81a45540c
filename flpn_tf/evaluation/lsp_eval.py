"""PCK on LSP-like data: joints meet by name, distances are measured in torsos."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation.pck import PCK, pck, torso_lengths
from flpn_tf.evaluation.predict import predict_people
from flpn_tf.runtime import files
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.runtime.native_stderr import discard_native_stderr


def evaluate_lsp(model, data, flip_test=False, decode=None) -> dict:
    """PCK@0.2 of the torso with ground-truth boxes.

    Args:
        model: path, preset or alias.
        data: folder with `annotations.json` and `images/`.
        flip_test: average with the mirrored crop.
        decode: "argmax", "quarter" or "dark"; by default the model's own rule.

    Returns:
        {"metrics": {"PCK@0.2": …, joint: …}, "boxes": "gt", "flip", "decode", "people", "unmatched",
        "model", "model_sha256", "data_sha256"}. Metrics are 0–100, a joint that nobody has labelled is
        None; "people" are those whose torso is labelled, the others cannot be measured; "unmatched" are
        the data's joints that the model has not.

    Raises:
        InputError: bad model or data, skeletons that share fewer than half of their joints, or no labelled
            torso.
    """
    people = read_people(data)
    skeleton, records = people.skeleton, people.records
    lengths = torso_lengths(np.stack([record.keypoints for record in records]), skeleton)
    measured = np.isfinite(lengths)
    if not measured.any():
        raise InputError(f"{people.source}: nobody has a labelled torso, so there is no length to measure by")
    records = [record for record, wanted in zip(records, measured, strict=True) if wanted]
    with discard_native_stderr():
        estimator = PoseEstimator(model, decode=decode)
    pairs = skeleton.match(estimator.skeleton)
    unmatched = skeleton.unmatched(estimator.skeleton)
    if unmatched:
        print(f"left out, the model has no such joint: {', '.join(unmatched)}", file=sys.stderr)
    keypoints, _ = predict_people(estimator, records, flip_test)
    truth = np.stack([record.keypoints for record in records])
    theirs, ours = (list(indices) for indices in zip(*pairs, strict=True))
    mean, joints = pck(keypoints[:, ours], truth[:, theirs], lengths[measured])
    names = [PCK, *(skeleton.names[index] for index in theirs)]
    values = [None if np.isnan(value) else round(float(value), 2) for value in (mean, *joints)]
    return {
        "metrics": dict(zip(names, values, strict=True)),
        "boxes": "gt",
        "flip": flip_test,
        "decode": estimator.codec.decode_rule,
        "people": len(records),
        "unmatched": list(unmatched),
        "model": estimator.path.name,
        "model_sha256": _sha256(estimator.path),
        "data_sha256": people.sha256,
    }


def _sha256(path: Path) -> str:
    """Of a file, or of all files of a SavedModel folder in name order."""
    parts = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in parts:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def run(model, data, flip_test=False, decode=None, json_to=None) -> None:
    """`flpn evaluate`: prints a table, and writes the result as json (`-`: to standard output, no table)."""
    files.check_json_output(json_to)
    result = evaluate_lsp(model, data, flip_test, decode)
    if json_to is not None:
        files.write_json(json_to, json.dumps(result, indent=1) + "\n")
    if json_to == files.STANDARD_OUTPUT:
        return
    print(
        f"{result['people']} people, boxes: {result['boxes']}, flip: {flip_test}, decode: {result['decode']}"
    )
    for name, value in result["metrics"].items():
        print(f"{name:>16}  {'-' if value is None else format(value, '.2f'):>6}")
