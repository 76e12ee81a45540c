"""How much worse one evaluation is than another of the same people, with what chance alone would give."""

import contextlib
import io
from typing import NamedTuple

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.evaluation.coco_eval import evaluator_of
from flpn_tf.evaluation.evaluate import Evaluation
from flpn_tf.evaluation.found import GROUND_TRUTH
from flpn_tf.evaluation.joints import truth_of
from flpn_tf.evaluation.metrics import torsos_of
from flpn_tf.evaluation.mpii_eval import NOT_IN_MEAN, head_lengths
from flpn_tf.evaluation.pck import PCK, THRESHOLD

RESAMPLES = 1000
_INTERVAL = (0.025, 0.975)
_DECIMALS = 4
_SAME = ("data_sha256", "dataset", "boxes", "boxes_sha256", "flip", "decode", "nms", "sigmas")
# Protocol → its metric of all joints, the threshold, and what that is relative to.
_SHARES = {
    "coco": (PCK, THRESHOLD, torsos_of),
    "lsp": ("Mean", THRESHOLD, torsos_of),
    "mpii": ("Mean", 0.5, head_lengths),
}


class Drop(NamedTuple):
    """Points (0–100) lost, negative where they are won, and the 95 % interval of it."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Json-ready."""
        return {name: round(value, _DECIMALS) for name, value in self._asdict().items()}


def compare(
    found: Evaluation, against: Evaluation, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Drop]:
    """How much lower the metrics of `found` are than those of `against`.

    The interval is that of a paired bootstrap (Efron and Tibshirani 1993) over photos: the same photos are
    drawn for both, with repetition, as many as there are, and the 2.5th and 97.5th percentile of the drops
    are taken. It says what other photos of this kind may give; not what other calibration or training may.

    Args:
        found, against: of the same data set, boxes, flip, decode and NMS.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        By the metric's name, those that both have: of the protocol coco "AP" and, in ground-truth boxes and
        with the torso's joints in both models, "PCK@0.2"; of lsp and mpii "Mean".

    Raises:
        InputError: the evaluations differ in what must be the same, or nothing was measured.
    """
    for key in _SAME:
        if found.result[key] != against.result[key]:
            name = "joints" if key == "sigmas" else key
            raise InputError(
                f"{found.result['model']} and {against.result['model']} can only be compared with the same "
                f"{name}. Received: {found.result[key]} and {against.result[key]}"
            )
    if found.people is None:
        raise InputError(f"{found.result['data']}: has no annotations, so there is nothing to compare")
    ours, theirs = _measures(found), _measures(against)
    photos = _photos(found)
    rng = np.random.default_rng(seed)
    whole = np.ones((1, len(photos)), int)
    drawn = rng.multinomial(len(photos), np.full(len(photos), 1 / len(photos)), size=resamples)
    drops = {}
    for name in ours:
        lost = [theirs[name](times) - ours[name](times) for times in np.concatenate([whole, drawn])]
        if np.isfinite(lost[0]):
            # A draw may have nobody to count.
            drops[name] = Drop(lost[0], *map(float, np.nanquantile(lost[1:], _INTERVAL)))
    return drops


def drop_in_words(drop: dict[str, float]) -> str:
    """Of `Drop.to_dict`."""
    return f"{drop['value']:.2f} (95 %: {drop['low']:.2f} to {drop['high']:.2f})"


def _photos(found: Evaluation) -> list[int]:
    """Ids, rising, of all photos: also of those without people, in which poses are wrong."""
    ids = {record.image_id for record in found.everyone.records}
    if found.everyone.coco is not None:
        ids |= found.everyone.coco.photos.keys()
    return sorted(ids)


def _measures(found: Evaluation) -> dict:
    """Metric → its value as a function of how many times each photo counts, (photos,)."""
    dataset = found.result["dataset"]
    measures = {}
    if dataset == "coco":
        measures["AP"] = _average_precision(found)
    if found.result["boxes"] == GROUND_TRUTH:
        name, threshold, lengths_of = _SHARES[dataset]
        lengths = lengths_of(found.people)
        if lengths is not None:
            measures[name] = _share(found, threshold, lengths)
    return measures


def _average_precision(found: Evaluation):
    """AP as COCOeval accumulates it, from what it matched in each photo, which it does once.

    A photo that counts twice stands for two equal ones. Of their equal detections the first could only move
    a point of the curve to where precision is no higher, which the curve's envelope does not show.
    """
    poses = found.poses
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = evaluator_of(found.everyone, poses.keypoints, poses.scores, poses.image_ids)
        params = evaluator.params
        params.areaRng, params.areaRngLbl = params.areaRng[:1], params.areaRngLbl[:1]
        evaluator.evaluate()
    # A photo with neither people nor poses has none.
    entries = [entry for entry in evaluator.evalImgs if entry is not None]
    places = np.searchsorted(_photos(found), [entry["image_id"] for entry in entries])
    positives = np.zeros(len(_photos(found)), int)
    positives[places] = [(np.asarray(entry["gtIgnore"]) == 0).sum() for entry in entries]
    photos = np.repeat(places, [len(entry["dtScores"]) for entry in entries])
    scores = np.concatenate([entry["dtScores"] for entry in entries])
    order = np.argsort(-scores, kind="stable")
    photos = photos[order]
    # (OKS thresholds, poses)
    matched = np.concatenate([entry["dtMatches"] for entry in entries], axis=1)[:, order] > 0
    counted = ~np.concatenate([entry["dtIgnore"] for entry in entries], axis=1)[:, order].astype(bool)

    def value(times: np.ndarray) -> float:
        people = positives @ times
        if people == 0:
            return np.nan
        hits = np.cumsum((matched & counted) * times[photos], axis=1)
        precision = hits / np.maximum(np.cumsum(counted * times[photos], axis=1), 1)
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        precision = np.pad(precision, ((0, 0), (0, 1)))  # of recalls that are never reached
        reached = [np.searchsorted(recalls, params.recThrs, side="left") for recalls in hits / people]
        return 100 * float(np.take_along_axis(precision, np.array(reached), axis=1).mean())

    return value


def _share(found: Evaluation, threshold: float, lengths: np.ndarray):
    """PCK or PCKh: the share of labelled joints within `threshold` · length."""
    truth, lengths = truth_of(found.people), lengths[:, np.newaxis]
    if found.result["dataset"] == "mpii":
        truth[:, [name in NOT_IN_MEAN for name in found.people.skeleton.names], 2] = 0
    # In ground-truth boxes these are the people's, in their order.
    predicted = found.analysis.found.keypoints
    counted = (truth[..., 2] > 0) & np.isfinite(lengths)
    distances = np.linalg.norm(predicted[..., :2] - truth[..., :2], axis=-1)
    hits = counted & (distances <= threshold * np.nan_to_num(lengths))
    ids = _photos(found)
    photos = np.searchsorted(ids, [record.image_id for record in found.people.records])
    hits, counted = (np.bincount(photos, joints.sum(axis=1), len(ids)) for joints in (hits, counted))

    def value(times: np.ndarray) -> float:
        joints = counted @ times
        return 100 * float(hits @ times / joints) if joints else np.nan

    return value
