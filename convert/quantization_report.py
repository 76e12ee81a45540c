"""What a conversion costs: an artefact beside the network that it was made from."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from flpn_tf.convert.layer_loss import layer_losses, sqnr_db
from flpn_tf.data.records import PersonRecord
from flpn_tf.errors import printable
from flpn_tf.evaluation.compare import RESAMPLES, compare, drop_in_words
from flpn_tf.evaluation.evaluate import Evaluation
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.runtime.backends import open_backend
from flpn_tf.runtime.files import sha256_of
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD

REPORT_CROPS = 64  # that heatmaps and joints are compared on
_LAYER_CROPS = 8  # and layers, of which each is run alone
_SHOWN_LAYERS = 8
_DECIMALS = 4


def quantization_report(
    network: PoseNetwork,
    to: str,
    artefact,
    reference: bytes,
    crops: np.ndarray,
    before: Evaluation,
    after: Evaluation,
) -> dict:
    """Compares a `.tflite` file with its network.

    Args:
        network: as it was converted.
        to: the file's format.
        artefact: path of the file.
        reference: the network as a float32 `.tflite`, converted with the same options.
        crops: (N, H, W, 3) uint8 of people that neither set the file's ranges nor trained the network.
        before, after: the network's and the file's evaluation on the same data.

    Returns:
        json-ready, None in place of an infinite ratio (no loss):

        "model", "model_sha256", "artefact", "artefact_sha256", "format", "bytes" (of the file)
        "crops"                how many the next two are of
        "sqnr_db"              signal to quantisation noise of the heatmaps
        "displacement_px"      {"mean", "p95", "joints"}: how far joints of a score above 0.2 move, pixels of
                               the crop
        "evaluation"           {"data", "data_sha256", "dataset", "boxes", "flip", "decode", "people",
                               "metrics" (of "model" and "artefact"), "drop" ({metric: {"value", "low",
                               "high"}}, see `compare`), "resamples"}
        "layers"               [{"layer", "sqnr_db", "heatmaps_sqnr_db"}, …], see `layer_losses`
    """
    artefact = Path(artefact)
    content = artefact.read_bytes()
    with discard_native_stderr():
        expected, found = (open_backend(model).predict(crops) for model in (network, artefact))
        layers = layer_losses(network, reference, content, crops[:_LAYER_CROPS])
    facts = ("data", "data_sha256", "dataset", "boxes", "flip", "decode", "people")
    report = {
        "model": before.result["model"],
        "model_sha256": before.result["model_sha256"],
        "artefact": artefact.name,
        "artefact_sha256": after.result["model_sha256"],
        "format": to,
        "bytes": len(content),
        "crops": len(crops),
        "sqnr_db": sqnr_db(expected, found),
        "displacement_px": _displacement(network.codec, expected, found),
        "evaluation": {key: after.result[key] for key in facts}
        | {
            "metrics": {"model": before.result["metrics"], "artefact": after.result["metrics"]},
            "drop": {name: drop.to_dict() for name, drop in compare(after, before).items()},
            "resamples": RESAMPLES,
        },
        "layers": [layer._asdict() for layer in layers],
    }
    return _plain(report)


def _displacement(codec, expected: np.ndarray, found: np.ndarray) -> dict:
    expected, found = codec.decode(expected), codec.decode(found)
    seen = expected[..., 2] > KEYPOINT_THRESHOLD
    moved = np.linalg.norm(found[..., :2] - expected[..., :2], axis=-1)[seen]
    if not len(moved):
        return {"mean": None, "p95": None, "joints": 0}
    return {"mean": moved.mean(), "p95": np.quantile(moved, 0.95), "joints": len(moved)}


def shared_photos(first: Iterable[PersonRecord], second: Iterable[PersonRecord]) -> list[Path]:
    """The photos of the first people whose files' content is that of a photo of the second people."""
    first, second = (_by_size({record.image for record in records}) for records in (first, second))
    shared = []
    for size in first.keys() & second.keys():
        known = {sha256_of(path) for path in second[size]}
        shared += [path for path in first[size] if sha256_of(path) in known]
    return sorted(shared)


def _by_size(paths: Iterable[Path]) -> dict[int, list[Path]]:
    """Files of different sizes need not be read."""
    sizes = defaultdict(list)
    for path in paths:
        with contextlib.suppress(OSError):  # it is said where the photo is needed
            sizes[Path(path).stat().st_size].append(Path(path))
    return sizes


def in_words(report: dict) -> list[str]:
    """The report's lines for people."""
    measured, moved = report["evaluation"], report["displacement_px"]
    lines = [
        f"{report['artefact']}: {report['format']}, {report['bytes'] / 1e6:.2f} MB, from {report['model']}",
        f"heatmaps of {report['crops']} crops of {measured['data']}: "
        f"signal to quantisation noise {_db(report['sqnr_db'])}",
    ]
    if moved["joints"]:
        lines.append(
            f"{moved['joints']} joints of a score above {KEYPOINT_THRESHOLD} move by "
            f"{moved['mean']:.3f} pixels of the crop in the mean, 95 % by less than {moved['p95']:.3f}"
        )
    lines.append(f"{measured['data']}, {measured['people']} people, boxes: {measured['boxes']}")
    for name, drop in measured["drop"].items():
        before, after = (measured["metrics"][of][name] for of in ("model", "artefact"))
        lines.append(f"{name:>10} {before:.2f} -> {after:.2f}, drop {drop_in_words(drop)}")
    lines.append("layers that cost most, each alone as in the file: noise in its output, in the heatmaps")
    for layer in report["layers"][:_SHOWN_LAYERS]:
        own, after = _db(layer["sqnr_db"]), _db(layer["heatmaps_sqnr_db"])
        lines.append(f"{layer['layer']:>28} {own:>9} {after:>9}")
    return [printable(line) for line in lines]


def _db(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f} dB"


def _plain(value):
    """Json-ready: numbers of Python, rounded, None in place of what is not finite."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return round(float(value), _DECIMALS) if np.isfinite(value) else None
    return value
