"""Latency of the shipped `.tflite` files, one thread, interleaved so that their ratios can be trusted.

python benchmarks/latency.py [FILE.tflite …]
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

from flpn_tf.presets import assets_folder
from flpn_tf.runtime.interpreter import open_interpreter

ROUNDS, RUNS = 5, 40


def main(paths):
    interpreters = []
    for path in paths:
        interpreter = open_interpreter(path, 1)
        image = interpreter.get_input_details()[0]
        noise = np.random.default_rng(0).integers(0, 256, image["shape"]).astype(image["dtype"])
        interpreter.set_tensor(image["index"], noise)
        interpreters.append(interpreter)
    medians = [[] for _ in paths]
    for _ in range(ROUNDS):
        for interpreter, rounds in zip(interpreters, medians, strict=True):
            seconds = []
            for _ in range(RUNS):
                start = time.perf_counter()
                interpreter.invoke()
                seconds.append(time.perf_counter() - start)
            rounds.append(statistics.median(seconds))
    figures = [1000 * statistics.median(rounds) for rounds in medians]
    for path, interpreter, figure in zip(paths, interpreters, figures, strict=True):
        pieces = sum(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details())
        print(
            f"{path.name:48} {figure:7.2f} ms  {figure / figures[0]:5.2f}x "
            f"{path.stat().st_size / 1e6:7.2f} MB, in {pieces} delegated pieces"
        )


if __name__ == "__main__":
    main([Path(p) for p in sys.argv[1:]] or sorted(assets_folder().glob("*.tflite")))
