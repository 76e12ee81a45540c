"""Latency of networks whose 1×1 convolutions are mostly zeros beside the dense ones: float32, one thread.

    python benchmarks/sparsity.py [SPARSITY …]

The smallest weights of each 1×1 kernel are set to 0; no accuracy is measured: docs/decisions.md.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from flpn_tf.convert.tflite import _write_frozen
from flpn_tf.models import FLPN
from flpn_tf.models.load import load_network
from flpn_tf.runtime.benchmark import take_turns
from flpn_tf.runtime.interpreter import interpreter_class

ROUNDS, RUNS = 5, 20
MOBILE = Path(__file__).parent.parent / "training/weights/flpn_mobile_people_192x160.keras"


def prune(network, sparsity: float) -> None:
    """Sets the smallest weights of every 1×1 kernel to 0."""
    for weight in network.weights:
        if weight.name == "kernel" and tuple(weight.shape[:2]) == (1, 1) and min(weight.shape[2:]) > 1:
            value = weight.numpy()
            weight.assign(np.where(np.abs(value) < np.quantile(np.abs(value), sparsity), 0.0, value))


def convert(network, sparse: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        _write_frozen(network, folder, tf.float32)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        if sparse:
            converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        return converter.convert()


def compare(name, make, sparsities) -> None:
    models = {"dense": convert(make(), sparse=False)}
    for sparsity in sparsities:
        network = make()
        prune(network, sparsity)
        models[f"{sparsity:.0%} zeros"] = convert(network, sparse=True)
    interpreters = {
        key: interpreter_class()(model_content=model, num_threads=1) for key, model in models.items()
    }
    for interpreter in interpreters.values():
        interpreter.allocate_tensors()
    seconds = take_turns([interpreter.invoke for interpreter in interpreters.values()], ROUNDS, RUNS)
    medians = dict(zip(models, np.median(seconds, axis=2), strict=True))
    for key, rounds in medians.items():
        ratio = statistics.median(one / dense for one, dense in zip(rounds, medians["dense"], strict=True))
        pieces = sum(op["op_name"] == "DELEGATE" for op in interpreters[key]._get_ops_details())
        print(
            f"{name:12} {key:10} {1000 * statistics.median(rounds):7.2f} ms  {ratio:5.2f}x "
            f"{len(models[key]) / 1e6:7.2f} MB, in {pieces} delegated pieces",
            flush=True,
        )


if __name__ == "__main__":
    wanted = [float(value) for value in sys.argv[1:]] or [0.7, 0.85]
    compare("flpn-mobile", lambda: load_network(MOBILE), wanted)
    compare("flpn50", lambda: FLPN(), wanted)
