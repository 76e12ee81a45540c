"""Latencies of models that take turns, and what a fresh process finds of one."""

import numpy as np
import pytest

from flpn_tf.errors import InputError
from flpn_tf.runtime.benchmark import Latency, Setting, measure_latencies, take_turns
from flpn_tf.runtime.benchmark_process import PROCESSES, measure_process, open_model


def test_functions_take_turns_in_every_round():
    order, told = [], []
    calls = [lambda name=name: order.append(name) for name in "ab"]
    seconds = take_turns(calls, rounds=2, runs=3, warm_up=1, notice=told.append)
    assert "".join(order) == 2 * ("aaaa" + "bbbb")
    assert seconds.shape == (2, 2, 3)
    assert (seconds > 0).all()
    assert len(told) == 2


def test_only_the_timed_runs_count(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    # A call of "slow" lets 3 s pass; the warm-up's would shift what follows if it were timed.
    slow = take_turns([lambda: [next(clock) for _ in range(3)]], rounds=2, runs=2, warm_up=1)
    np.testing.assert_array_equal(slow, np.full((1, 2, 2), 4.0))


def test_a_ratio_is_of_the_turns_of_one_round():
    """The machine is three times as slow in the second round, for both."""
    first, other = (
        Latency(rounds, float(np.median(rounds)), 0, 0, 0) for rounds in ((2.0, 6.0, 2.0), (1.0, 3.0, 1.5))
    )
    assert other.ratio(first) == (0.5, 0.5, 0.75)
    assert first.ratio(first) == (1, 1, 1)


def test_latencies_of_real_models(dots_tflite, bare_tflite):
    settings = [Setting(dots_tflite), Setting(bare_tflite, threads=2), Setting(dots_tflite, xnnpack=False)]
    found = measure_latencies(settings, rounds=3, runs=4)
    assert len(found) == 3
    for latency in found:
        assert len(latency.rounds_ms) == 3
        assert 0 < latency.fastest_ms <= latency.median_ms <= latency.p90_ms
        assert latency.median_ms == np.median(latency.rounds_ms)
    assert [latency.pieces > 0 for latency in found] == [True, True, False]


@pytest.mark.parametrize("xnnpack", [True, False])
def test_an_opened_model_runs_on_noise(dots_tflite, xnnpack):
    model = open_model(dots_tflite, 1, xnnpack)
    model.invoke()
    heatmaps = model.get_tensor(model.get_output_details()[0]["index"])
    assert heatmaps.std() > 0


def test_a_fresh_process_knows_its_own_memory_only(dots_tflite):
    held = np.ones(400_000_000, np.uint8)  # what Linux's `ru_maxrss` would pass on to a child
    found = measure_process(dots_tflite)
    assert set(found) == {"cold_start_ms", "peak_mb", "start_mb"}
    assert found["cold_start_ms"] > 0
    assert 0 < found["start_mb"] < found["peak_mb"] < held.nbytes / 1e6


def test_the_median_of_the_processes(monkeypatch):
    values = iter((5.0, 1.0, 2.0))
    monkeypatch.setattr(
        "flpn_tf.runtime.benchmark_process._in_process",
        lambda *given: {"cold_start_ms": next(values), "peak_mb": None},
    )
    assert PROCESSES == 3
    assert measure_process("x.tflite") == {"cold_start_ms": 2.0, "peak_mb": None}


def test_a_process_that_fails_is_one_line(tmp_path):
    path = tmp_path / "text.tflite"
    path.write_text("no model")
    with pytest.raises(InputError, match="text.tflite") as caught:
        measure_process(path)
    assert "\n" not in str(caught.value)
