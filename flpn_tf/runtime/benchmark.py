"""Latency of `.tflite` models that take turns, so that their ratios hold on a busy machine. No TensorFlow."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.benchmark_process import open_model
from flpn_tf.runtime.inspect_model import pieces
from flpn_tf.runtime.native_stderr import discard_native_stderr

ROUNDS, RUNS, WARM_UP = 5, 40, 3


@dataclass(frozen=True)
class Setting:
    """One model as it is run.

    Attributes:
        path: the `.tflite` file.
        threads: of the runtime.
        xnnpack: whether the runtime's own CPU delegate may take operations.
    """

    path: Path
    threads: int = 1
    xnnpack: bool = True


@dataclass(frozen=True)
class Latency:
    """Of one forward pass, without crop and decoding.

    Attributes:
        rounds_ms: the median of each round.
        median_ms: the median of these.
        p90_ms: a tenth of all runs took longer.
        fastest_ms: of all runs; what other programs disturb least.
        pieces: stretches of the graph that XNNPACK runs; 0 without it.
    """

    rounds_ms: tuple[float, ...]
    median_ms: float
    p90_ms: float
    fastest_ms: float
    pieces: int

    def ratio(self, first: "Latency") -> tuple[float, float, float]:
        """The median, lowest and highest over the rounds of this latency divided by the other's.

        Each is of two turns that followed each other, so that what slows down both is not in it.
        """
        ratios = [mine / other for mine, other in zip(self.rounds_ms, first.rounds_ms, strict=True)]
        return statistics.median(ratios), min(ratios), max(ratios)


def measure_latencies(
    settings: list[Setting],
    rounds: int = ROUNDS,
    runs: int = RUNS,
    warm_up: int = WARM_UP,
    notice: Callable[[str], None] | None = None,
) -> list[Latency]:
    """Runs models on noise, in turns; all are loaded meanwhile.

    Args:
        rounds: of one turn of each setting.
        runs: timed in a turn.
        warm_up: runs before them, not timed: the caches still hold another model's weights.
        notice: told of the progress in a line.

    Returns:
        one for each of ``settings``.

    Raises:
        InputError: the runtime refuses a file.
    """
    with discard_native_stderr():
        models = [open_model(setting.path, setting.threads, setting.xnnpack) for setting in settings]
    calls = [_caller(model, setting.path) for model, setting in zip(models, settings, strict=True)]
    found = take_turns(calls, rounds, runs, warm_up, notice)
    return [_latency(1000 * seconds, pieces(model)) for seconds, model in zip(found, models, strict=True)]


def take_turns(
    calls: list[Callable[[], object]],
    rounds: int,
    runs: int,
    warm_up: int = 0,
    notice: Callable[[str], None] | None = None,
) -> np.ndarray:
    """Times functions, one after the other in each round: (functions, rounds, runs) seconds."""
    seconds = np.empty((len(calls), rounds, runs))
    for turn in range(rounds):
        for call, row in zip(calls, seconds[:, turn], strict=True):
            for _ in range(warm_up):
                call()
            for run in range(runs):
                start = time.perf_counter()
                call()
                row[run] = time.perf_counter() - start
        if notice is not None:
            notice(f"round {turn + 1} of {rounds}")
    return seconds


def _caller(interpreter, path: Path) -> Callable[[], None]:
    """Its `invoke`, tried once."""
    try:
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"The TFLite runtime cannot run {path}: {reason}") from error
    return interpreter.invoke


def _latency(milliseconds: np.ndarray, taken: int) -> Latency:
    medians = np.median(milliseconds, axis=1)
    return Latency(
        rounds_ms=tuple(medians.tolist()),
        median_ms=float(np.median(medians)),
        p90_ms=float(np.percentile(milliseconds, 90)),
        fastest_ms=float(milliseconds.min()),
        pieces=taken,
    )
