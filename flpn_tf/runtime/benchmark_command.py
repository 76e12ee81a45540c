"""What `flpn benchmark` does."""

import json
import os
import sys
from pathlib import Path

from flpn_tf.errors import InputError, printable
from flpn_tf.plain_table import columns
from flpn_tf.presets import resolve_model
from flpn_tf.runtime import files
from flpn_tf.runtime.benchmark import ROUNDS, RUNS, WARM_UP, Latency, Setting, measure_latencies
from flpn_tf.runtime.benchmark_process import measure_process
from flpn_tf.runtime.pose_settings import MAX_THREADS

XNNPACK = {"on": (True,), "off": (False,), "both": (True, False)}
_COLUMNS = {
    "model": lambda r: r["model"],
    "threads": lambda r: str(r["threads"]),
    "XNNPACK": lambda r: "on" if r["xnnpack"] else "off",
    "median ms": lambda r: f"{r['median_ms']:.2f}",
    "p90 ms": lambda r: f"{r['p90_ms']:.2f}",
    "fastest": lambda r: f"{r['fastest_ms']:.2f}",
    "ratio": lambda r: f"{r['ratio']:.2f}",
    "in rounds": lambda r: f"{r['ratio_lowest']:.2f}-{r['ratio_highest']:.2f}",
    "cold ms": lambda r: f"{r['cold_start_ms']:.0f}",
    "peak MB": lambda r: _megabytes(r["peak_mb"]),
    "file MB": lambda r: f"{r['size_mb']:.2f}",
    "pieces": lambda r: str(r["pieces"]),
}


def run(
    models: list[str],
    threads: str = "1",
    xnnpack: str = "on",
    rounds: int = ROUNDS,
    runs: int = RUNS,
    warm_up: int = WARM_UP,
    json_to: str | None = None,
) -> None:
    """Measures `.tflite` models beside each other.

    Args:
        models: paths, presets or aliases; the first is what the ratios compare with.
        threads: one number, or several between commas; every model runs with each.
        xnnpack: a key of `XNNPACK`; "both" runs everything with and without.
        rounds, runs, warm_up: see `measure_latencies`.
        json_to: file for a list of `records`, or `files.STANDARD_OUTPUT`, which leaves out the table.

    Raises:
        InputError: the first bad input; found before anything is measured.
    """
    paths = [_tflite(model) for model in models]
    counts = _thread_counts(threads)
    if xnnpack not in XNNPACK:
        raise InputError(f"--xnnpack must be {', '.join(XNNPACK)}. Received: {xnnpack}")
    for name, value, lowest in (("rounds", rounds, 1), ("runs", runs, 1), ("warm-up", warm_up, 0)):
        if value < lowest:
            raise InputError(f"--{name} must be {lowest} or more. Received: {value}")
    files.check_json_output(json_to)
    if json_to not in (None, files.STANDARD_OUTPUT):
        files.check_apart(json_to, paths)
    settings = [
        Setting(path, count, delegate) for delegate in XNNPACK[xnnpack] for count in counts for path in paths
    ]
    before = _load()
    latencies = measure_latencies(settings, rounds, runs, warm_up, _notice)
    found = records(settings, latencies)
    if json_to is not None:
        files.write_json(json_to, json.dumps(found, indent=1) + "\n")
    if json_to != files.STANDARD_OUTPUT:
        rows = [tuple(show(record) for show in _COLUMNS.values()) for record in found]
        lines = [*columns([tuple(_COLUMNS), *rows]), "", *_legend(rounds, runs, before, found[0])]
        print("\n".join(map(printable, lines)))


def records(settings: list[Setting], latencies: list[Latency]) -> list[dict]:
    """Adds cold start, memory and file size; a json-ready dict for each setting.

    ``ratio`` compares with the first setting of the same threads and delegate; `docs/benchmark.md` says what
    each number is.
    """
    names = _names([setting.path for setting in settings])
    firsts: dict[tuple[int, bool], Latency] = {}
    found = []
    for index, (setting, latency) in enumerate(zip(settings, latencies, strict=True)):
        _notice(f"cold start and memory {index + 1} of {len(settings)}")
        first = firsts.setdefault((setting.threads, setting.xnnpack), latency)
        ratio, lowest, highest = latency.ratio(first)
        found.append(
            {
                "model": names[index],
                "threads": setting.threads,
                "xnnpack": setting.xnnpack,
                "median_ms": latency.median_ms,
                "p90_ms": latency.p90_ms,
                "fastest_ms": latency.fastest_ms,
                "rounds_ms": list(latency.rounds_ms),
                "ratio": ratio,
                "ratio_lowest": lowest,
                "ratio_highest": highest,
                **measure_process(setting.path, setting.threads, setting.xnnpack),
                "size_mb": setting.path.stat().st_size / 1e6,
                "pieces": latency.pieces,
            }
        )
    return found


def _tflite(model: str) -> Path:
    path = resolve_model(model)
    if path.is_dir() or path.suffix in (".keras", ".h5"):
        raise InputError(
            f"flpn benchmark times .tflite files; make one with `flpn convert`. Received: {path}"
        )
    return path


def _thread_counts(text: str) -> list[int]:
    """1 to `MAX_THREADS` each, without repetitions."""
    try:
        counts = list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        counts = []
    if not counts or not all(1 <= count <= MAX_THREADS for count in counts):
        raise InputError(f"--threads must be numbers from 1 to {MAX_THREADS}, as in 1,2,4. Received: {text}")
    return counts


def _names(paths: list[Path]) -> list[str]:
    """Stems, but whole paths where different files share one."""
    stems = {}
    for path in paths:
        stems.setdefault(path.stem, set()).add(path)
    return [path.stem if len(stems[path.stem]) == 1 else str(path) for path in paths]


def _megabytes(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _legend(rounds: int, runs: int, load: str, first: dict) -> list[str]:
    start = _megabytes(first["start_mb"])
    return [
        f"network alone, on noise; medians of {rounds} rounds of {runs} runs, the models in turns; {load}",
        "ratio: to the first model, same threads and XNNPACK, within each round; trust it more than ms",
        f"cold: opening to first result; peak: a fresh process, {start} MB of it Python and the runtime",
        "pieces: of the graph, run by XNNPACK",
    ]


def _load() -> str:
    cores = f"{os.cpu_count()} cores"
    if not hasattr(os, "getloadavg"):
        return cores
    return f"{cores}, load {os.getloadavg()[0]:.1f} before"


def _notice(text: str) -> None:
    print(f"flpn: {text}", file=sys.stderr, flush=True)
