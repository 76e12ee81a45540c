"""Cold start and peak memory of one `.tflite` model, in a process that does nothing else."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import flpn_tf
from flpn_tf.errors import InputError
from flpn_tf.runtime.interpreter import interpreter_class, open_interpreter, plain_interpreter

PROCESSES = 3  # medians of so many
_RUNS = 3  # after the first: what a runtime allocates later is in the peak too


def open_model(path, threads: int, xnnpack: bool):
    """An interpreter with noise for its inputs, ready to `invoke`.

    Raises:
        InputError: the runtime refuses the file, or an input holds no numbers.
    """
    interpreter = open_interpreter(path, threads) if xnnpack else plain_interpreter(path, threads)
    try:
        interpreter.allocate_tensors()
        for tensor in interpreter.get_input_details():
            interpreter.set_tensor(tensor["index"], _noise(tensor["shape"], np.dtype(tensor["dtype"])))
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"The TFLite runtime cannot run {path}: {reason}") from error
    return interpreter


def _noise(shape, dtype: np.dtype) -> np.ndarray:
    # Whole numbers wider than a byte are no pixels but indices or sizes, where only 0 is always allowed.
    if dtype.itemsize > 1 and dtype.kind != "f":
        return np.zeros(shape, dtype)
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def peak_bytes() -> int | None:
    """The most memory this process has held, or None where the system does not tell (Windows)."""
    try:
        # On Linux `getrusage` would also count what the parent held when it started this process.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure_process(path: str | Path, threads: int = 1, xnnpack: bool = True) -> dict:
    """Loads and runs a model in fresh processes; the medians of `PROCESSES`.

    Returns:
        ``cold_start_ms``, from opening the file to its first result, the imports done before; ``peak_mb``,
        the most the process held; ``start_mb``, what it held before opening the file: Python, NumPy and the
        runtime. 1e6 bytes; the last two None where the system does not tell.

    Raises:
        InputError: such a process failed.
    """
    found = [_in_process(path, threads, xnnpack) for _ in range(PROCESSES)]
    return {key: _median([result[key] for result in found]) for key in found[0]}


def _median(values: list) -> float | None:
    return None if None in values else statistics.median(values)


def _in_process(path, threads: int, xnnpack: bool) -> dict:
    home = str(Path(flpn_tf.__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    ran = subprocess.run(
        # -P: a numpy.py of the user's folder is none of ours.
        [sys.executable, "-P", "-m", __name__, str(path), str(threads), str(int(xnnpack))],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise InputError(f"A fresh process that runs {path} ended with {ran.returncode}: {last}")
    return json.loads(ran.stdout)


def main(path: str, threads: str, xnnpack: str) -> None:
    """Prints what one process found."""
    interpreter_class()  # imports the runtime
    before = peak_bytes()
    start = time.perf_counter()
    interpreter = open_model(path, int(threads), bool(int(xnnpack)))
    output = interpreter.get_output_details()[0]["index"]
    interpreter.invoke()
    interpreter.get_tensor(output)
    cold = time.perf_counter() - start
    for _ in range(_RUNS):
        interpreter.invoke()
    after = peak_bytes()
    print(
        json.dumps(
            {
                "cold_start_ms": 1000 * cold,
                "peak_mb": after and after / 1e6,
                "start_mb": before and before / 1e6,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
