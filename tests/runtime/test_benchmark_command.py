"""`flpn benchmark` as a user runs it."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from flpn_tf.errors import InputError
from flpn_tf.runtime import benchmark_command

# Importing TensorFlow or Keras is an error.
WITHOUT_TENSORFLOW = """
import sys
for name in ("tensorflow", "keras", "jax"):
    sys.modules[name] = None
from flpn_tf.cli import main
main()
"""
NUMBERS = (
    "median_ms", "p90_ms", "fastest_ms", "ratio", "ratio_lowest", "ratio_highest", "cold_start_ms", "peak_mb",
    "start_mb", "size_mb",
)  # fmt: skip
QUICK = ["--rounds", "2", "--runs", "3", "--warm-up", "0"]


def flpn(arguments, folder):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


@pytest.fixture
def quick(monkeypatch):
    """No process is started for cold start and memory."""
    fixed = {"cold_start_ms": 1.0, "peak_mb": 2.0, "start_mb": 1.0}
    monkeypatch.setattr(benchmark_command, "measure_process", lambda *given: dict(fixed))


def test_table_json_and_progress(tmp_path, dots_tflite, bare_tflite):
    ran = flpn(["benchmark", dots_tflite, bare_tflite, *QUICK, "--json", "found.json"], tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0].split()[:3] == ["model", "threads", "XNNPACK"]
    assert [line.split()[0] for line in ran.stdout.splitlines()[1:3]] == ["dots", "bare"]
    assert ran.stderr.splitlines()[:2] == ["flpn: round 1 of 2", "flpn: round 2 of 2"]
    first, second = json.loads((tmp_path / "found.json").read_text())
    assert (first["model"], second["model"]) == ("dots", "bare")
    for record in (first, second):
        assert all(record[key] > 0 for key in NUMBERS)
        assert record["p90_ms"] >= record["median_ms"] >= record["fastest_ms"]
        assert record["peak_mb"] > record["start_mb"]
        assert len(record["rounds_ms"]) == 2
    assert first["ratio"] == first["ratio_lowest"] == first["ratio_highest"] == 1
    assert first["size_mb"] == dots_tflite.stat().st_size / 1e6


def test_every_model_with_each_number_of_threads_and_without_the_delegate(quick, capsys, dots_tflite):
    paths = [str(dots_tflite), str(dots_tflite)]
    benchmark_command.run(paths, "1,2,1", "both", rounds=1, runs=2, warm_up=0, json_to="-")
    out = json.loads(capsys.readouterr().out)
    settings = [(record["threads"], record["xnnpack"]) for record in out]
    assert settings == [pair for pair in ((1, True), (2, True), (1, False), (2, False)) for _ in paths]
    assert [record["ratio"] for record in out[::2]] == [1] * 4
    assert [record["pieces"] > 0 for record in out] == [record["xnnpack"] for record in out]
    assert {record["model"] for record in out} == {"dots"}


def test_files_of_one_name_are_told_apart(quick, capsys, tmp_path, dots_tflite):
    other = shutil.copy(dots_tflite, tmp_path)
    benchmark_command.run([str(dots_tflite), str(other)], rounds=1, runs=1, json_to="-")
    names = [record["model"] for record in json.loads(capsys.readouterr().out)]
    assert names == [str(dots_tflite), str(other)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": "0"}, "--threads .* Received: 0"),
        ({"threads": "1,many"}, "--threads .* Received: 1,many"),
        ({"threads": "65"}, "--threads .* Received: 65"),
        ({"threads": ""}, "--threads"),
        ({"xnnpack": "perhaps"}, "on, off, both. Received: perhaps"),
        ({"rounds": 0}, "--rounds"),
        ({"runs": 0}, "--runs"),
        ({"warm_up": -1}, "--warm-up"),
        ({"json_to": "missing/found.json"}, "folder does not exist"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_bad_options(dots_tflite, options, message):
    with pytest.raises(InputError, match=message):
        benchmark_command.run([str(dots_tflite)], **options)


@pytest.mark.parametrize("kind", ["missing", "text", "keras", "saved_model", "truncated"])
def test_bad_models(tmp_path, dots_tflite, kind):
    path = tmp_path / {"keras": "m.keras", "saved_model": "folder"}.get(kind, "m.tflite")
    if kind == "saved_model":
        path.mkdir()
        (path / "saved_model.pb").touch()
    elif kind == "truncated":
        path.write_bytes(dots_tflite.read_bytes()[:3000])
    elif kind != "missing":
        path.write_text("a letter")
    reason = "flpn convert" if kind in ("keras", "saved_model") else "m.tflite"
    with pytest.raises(InputError, match=reason):
        benchmark_command.run([str(dots_tflite), str(path)])


def test_the_json_may_not_replace_a_model(dots_tflite):
    before = dots_tflite.read_bytes()
    with pytest.raises(InputError, match="overwrite"):
        benchmark_command.run([str(dots_tflite)], json_to=str(dots_tflite))
    assert dots_tflite.read_bytes() == before


def test_bad_input_is_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "m.tflite").write_text("a letter")
    ran = flpn(["benchmark", "m.tflite"], tmp_path)
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (2, "", 1), ran.stderr
