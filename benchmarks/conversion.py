"""What our conversion does for speed, on this machine's CPU, one thread: `make bench-convert`.

For the phone network that ships and for FLPN-50 with random weights, all files taking turns in one run:

int8, float16, float32   by `flpn convert`.
plain                    the same network of stock Keras layers (plain_network.py), exported the stock way:
                         `Model.export` with batch 1, then `TFLiteConverter.from_saved_model`. Keras's own
                         format="litert" writes the same operations.
unfolded                 our graph with its batch norms left to the converter: what folding them brings.
dense                    plain, its grouped transposed convolutions written as `Conv2DTranspose`.

Keras has no grouped `Conv2DTranspose`, and TFLite no grouped TRANSPOSE_CONV. The twin called plain has the
four phases and `keras.ops.depth_to_space`, the faster way that stock operations offer: dense has up to 256
times the multiply-adds in the head. Where groups equal channels the twin has `DepthwiseConv2D`; with
`Conv2D(groups=…)` throughout it is no faster. Before anything is timed, all float32 files must give the
heatmaps of ours.

The files stay in build/bench_convert until the network, the conversion or these scripts change.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from artefact_cache import REPOSITORY, open_cache

from flpn_tf.plain_table import columns
from flpn_tf.runtime.benchmark import ROUNDS, RUNS, Latency, Setting, measure_latencies
from flpn_tf.runtime.benchmark_process import open_model
from flpn_tf.runtime.files import write_atomically
from flpn_tf.runtime.inspect_model import inspect_tflite
from flpn_tf.runtime.interpreter import plain_interpreter

CACHE = REPOSITORY / "build" / "bench_convert"
WEIGHTS = REPOSITORY / "training" / "weights" / "flpn_mobile_people_192x160.keras"
NETWORKS = ("flpn_mobile_192x160", "flpn50_256x192")
# Neighbours are compared with each other: their turns follow each other.
FILES = (
    *("int8", "float16", "plain_float16", "unfolded_float16"),
    *("float32", "plain_float32", "unfolded_float32", "dense_float32"),
)
# (file, what it is compared with, the most its latency may be of the other's)
RATIOS = (
    ("int8", "float16", 0.55),
    ("float16", "plain_float16", 1.1),
    ("float32", "plain_float32", 1.1),
    ("float16", "unfolded_float16", 1.0),
    ("float32", "unfolded_float32", 1.0),
    ("dense_float32", "plain_float32", None),
)
TOLERANCE = 1e-3  # of the largest heatmap value


def notice(text: str) -> None:
    print(f"bench-convert: {text}", file=sys.stderr, flush=True)


def tflite(name: str, file: str) -> Path:
    return CACHE / f"{name}_{file}.tflite"


def convert_all(fresh: bool) -> None:
    """Makes the files that the cache lacks."""
    made_from = Path(__file__), REPOSITORY / "benchmarks" / "plain_network.py", WEIGHTS
    open_cache(CACHE, *made_from, fresh=fresh)
    for name in NETWORKS:
        missing = [file for file in FILES if not tflite(name, file).is_file()]
        if missing:
            convert_one(name, missing)
        check_same(name)


def convert_one(name: str, files: list[str]) -> None:
    from flpn_tf.frameworks import needs_tensorflow

    needs_tensorflow(as_backend=True)
    from plain_network import plain_network

    from flpn_tf.convert.tflite import CALIBRATION_CROPS, INTEGER_FORMATS, convert
    from flpn_tf.layers import ConvNorm

    network = build(name)
    crops = np.random.default_rng(0).integers(0, 256, (CALIBRATION_CROPS, *network.image_size, 3), np.uint8)
    for file in files:
        notice(f"converting {name} to {file}")
        kind, _, to = file.rpartition("_")
        if kind in ("plain", "dense"):
            twin = plain_network(network, dense=kind == "dense")
            if kind == "plain" and twin.count_params() != network.count_params():
                sys.exit(f"{name}: {network.count_params()} parameters, its twin {twin.count_params()}")
            model = export(twin, to)
        elif kind == "unfolded":
            with mock.patch.object(ConvNorm, "call", unfolded):
                model = convert(network, to)
        else:
            model = convert(network, to, crops if to in INTEGER_FORMATS else None)
        write_atomically(tflite(name, file), model)


def build(name: str):
    import keras
    from figure6 import settle

    from flpn_tf.models import FLPN
    from flpn_tf.models.load import load_network

    if name == NETWORKS[0]:
        return load_network(WEIGHTS)
    keras.utils.set_random_seed(0)
    network = FLPN()
    settle(network, np.random.default_rng(0).integers(0, 256, (2, *network.image_size, 3), np.uint8))
    return network


def unfolded(unit, inputs, training=None):
    """`ConvNorm.call` with the batch norm as a layer behind the convolution."""
    from flpn_tf.layers.conv_norm import ACTIVATIONS

    return ACTIVATIONS[unit.activation](unit.norm(unit.conv(inputs), training=training))


def export(model, to: str) -> bytes:
    """A Keras model as `.tflite` the stock way, batch 1."""
    import keras
    import tensorflow as tf

    signature = [keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32", name="image")]
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", input_signature=signature, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if to == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def check_same(name: str) -> None:
    """Exits where a float32 file gives other heatmaps than ours."""
    heatmaps = {}
    for file in FILES:
        if file.endswith("float32"):
            interpreter = open_model(tflite(name, file), 1, True)
            interpreter.invoke()
            heatmaps[file] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    ours = heatmaps["float32"]
    for file, found in heatmaps.items():
        difference = np.abs(found - ours).max() / np.abs(ours).max()
        if not difference < TOLERANCE:
            sys.exit(f"{name}_{file}: heatmaps differ from ours by {difference:.1e} of the largest: no twin")


def left_behind(path: Path) -> int:
    """MULs and ADDs right behind a DEPTH_TO_SPACE: the batch norms that no converter folds through it."""
    reached, found = set(), 0
    for operation in plain_interpreter(path)._get_ops_details():
        behind = operation["op_name"] in ("MUL", "ADD") and reached & set(operation["inputs"].tolist())
        if behind or operation["op_name"] == "DEPTH_TO_SPACE":
            reached |= set(operation["outputs"].tolist())
        found += bool(behind)
    return found


def row(path: Path, latency: Latency) -> tuple[str, ...]:
    counts = {"MUL": 0, "ADD": 0}
    operations = inspect_tflite(path)["operations"]
    for operation in operations:
        if operation["name"] in counts:
            counts[operation["name"]] += operation["count"]
    total = sum(operation["count"] for operation in operations if operation["name"] != "DEQUANTIZE")
    return (
        path.stem,
        *(f"{value:.2f}" for value in (latency.median_ms, latency.p90_ms, latency.fastest_ms)),
        f"{path.stat().st_size / 1e6:.2f}",
        str(latency.pieces),
        *map(str, (total, *counts.values(), left_behind(path))),
    )


def report(latencies: dict[tuple[str, str], Latency]) -> None:
    head = ("file", "median ms", "p90 ms", "fastest", "MB", "pieces", "ops", "MUL", "ADD", "left behind")
    print("\n".join(columns([head, *(row(tflite(*key), found) for key, found in latencies.items())])))
    rows = [("ratio of latencies", "median", "in rounds", "fastest", "limit", "")]
    for name in NETWORKS:
        for file, other, limit in RATIOS:
            ours, theirs = latencies[name, file], latencies[name, other]
            ratio, lowest, highest = ours.ratio(theirs)
            rows.append(
                (
                    f"{name}: {file} / {other}",
                    f"{ratio:.2f}",
                    f"{lowest:.2f}-{highest:.2f}",
                    f"{ours.fastest_ms / theirs.fastest_ms:.2f}",
                    "" if limit is None else f"{limit:.2f}",
                    "" if limit is None else "holds" if ratio <= limit else "missed",
                )
            )
    print("", *columns(rows), "", sep="\n")
    print(
        "ops: of the file, without the unpacking of float16 weights; left behind: MUL and ADD of batch norms"
    )
    print("behind DEPTH_TO_SPACE; pieces: of the graph, run by XNNPACK; ratios are taken within each round")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--fresh", action="store_true", help="convert all again")
    given = parser.parse_args()
    convert_all(given.fresh)
    keys = [(name, file) for name in NETWORKS for file in FILES]
    load = os.getloadavg()[0]
    found = measure_latencies(
        [Setting(tflite(*key)) for key in keys], given.rounds, given.runs, notice=notice
    )
    print(f"one thread, medians of {given.rounds} rounds of {given.runs} runs, load {load:.1f} before")
    report(dict(zip(keys, found, strict=True)))


if __name__ == "__main__":
    main()
