"""`flpn train` as a user runs it."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import synthetic_people
import tiny_network
from helpers import REPOSITORY, run_python

import flpn_tf.training
from flpn_tf import cli
from flpn_tf.models.load import load_network

TINY = {
    "model": {"image_size": [64, 64]},
    "schedule": {"epochs": 2, "batch_size": 4, "drops": []},
}


def start(script, arguments, folder):
    """A process that has only what a user's would have, and our tests on its path."""
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    paths = [str(REPOSITORY), *filter(None, sys.path)]
    return subprocess.Popen(
        [sys.executable, *script, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def flpn(command, folder):
    """(exit code, stdout, stderr)."""
    process = start(["-m", "flpn_tf"], command.split(), folder)
    out, error = process.communicate(timeout=400)
    return process.returncode, out, error


@pytest.fixture
def folder(tmp_path, data):
    """A user's folder: a data set, configs good and bad."""
    (tmp_path / "people").symlink_to(data)
    (tmp_path / "c.yaml").write_text(json.dumps(TINY))
    (tmp_path / "typo.yaml").write_text("schedule: {epoch: 2}")
    (tmp_path / "depth.yaml").write_text(json.dumps({"model": {"depth": 7}, "schedule": {"batch_size": 4}}))
    (tmp_path / "large.yaml").write_text("schedule: {batch_size: 64}")
    (tmp_path / "bare" / "images").mkdir(parents=True)
    (tmp_path / "bare" / "annotations.json").write_text("{}")
    (tmp_path / "away" / "images").mkdir(parents=True)
    (tmp_path / "away" / "annotations.json").symlink_to(data / "annotations.json")
    (tmp_path / "spoilt" / "images").mkdir(parents=True)
    (tmp_path / "spoilt" / "annotations.json").symlink_to(data / "annotations.json")
    for photo in (data / "images").iterdir():
        (tmp_path / "spoilt" / "images" / photo.name).write_bytes(photo.read_bytes()[:200])
    return tmp_path


BAD_INPUT = [
    ("c.yaml --data nowhere --output run", "nowhere: a data set is a folder with"),
    ("c.yaml --data bare --output run", "is not a COCO json"),
    ("c.yaml --data away --output run", "8 of its 8 photos are missing"),
    ("c.yaml --data spoilt --output run", "spoilt/images/"),
    ("c.yaml --data people --output c.yaml", "c.yaml: cannot be written"),
    ("c.yaml --data people --output run --init none.keras", "none.keras: there is no such file"),
    ("c.yaml --data people --output run --init typo.yaml", "typo.yaml: is not a .keras model"),
    ("none.yaml --data people --output run", "none.yaml: cannot be read"),
    ("typo.yaml --data people --output run", "unknown key schedule.epoch; did you mean epochs?"),
    ("depth.yaml --data people --output run", "model: depth must be one of"),
    ("large.yaml --data people --output run", "schedule.batch_size is larger than the data set"),
]


@pytest.mark.parametrize(("command", "message"), BAD_INPUT)
def test_bad_input_is_one_line(folder, monkeypatch, capsys, command, message):
    if "depth" not in command:
        monkeypatch.setattr("flpn_tf.training.fit.build_model", tiny_network.build)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["flpn", "train", *command.split()])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    out, error = capsys.readouterr()
    assert out == ""
    *notices, line = error.splitlines()
    assert len(notices) == ("spoilt" in command or "--output c.yaml" in command)
    assert line.startswith("flpn: error: ")
    assert message in line
    assert not (folder / "run" / "model.keras").exists()


def test_tensorflow_adds_no_lines_of_its_own(folder):
    code, out, error = flpn("train large.yaml --data people --output run", folder)
    assert (code, out) == (2, "")
    assert error.startswith("flpn: error: schedule.batch_size"), error
    assert error.count("\n") == 1, error


def test_interrupted_from_the_keyboard(folder):
    """Exit 130, no traceback, a whole checkpoint: also with photos being read in other threads."""
    settings = TINY | {"schedule": TINY["schedule"] | {"epochs": 5000}}
    (folder / "long.yaml").write_text(json.dumps(settings))
    script = [str(Path(tiny_network.__file__))]
    process = start(script, ["train", "long.yaml", "--data", "people", "--output", "run"], folder)
    checkpoint = folder / "run" / "checkpoint.keras"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert out == ""
    assert "Traceback" not in error
    assert int(load_network(checkpoint, compiled=True).optimizer.iterations) >= 2
    assert not list((folder / "run").glob(".*"))


@pytest.mark.slow
def test_flpn_learns_people_by_heart(tmp_path):
    """The shipped smoke config, from `flpn train` to `flpn evaluate`: 32 drawn people."""
    synthetic_people.write(tmp_path / "people", synthetic_people.document(people=32))
    smoke = Path(flpn_tf.training.__file__).parent / "configs" / "smoke.yaml"
    code, out, error = flpn(f"train {smoke} --data people --output run", tmp_path)
    assert code == 0, error
    assert out == "run/model.keras\n"
    assert error.startswith("32 people, 4 steps an epoch, ")
    code, out, error = flpn("evaluate run/model.keras people --json -", tmp_path)
    assert code == 0, error
    result = json.loads(out)
    assert result["people"] == 32
    assert result["metrics"]["PCK@0.2"] >= 95
    code = "import flpn_tf, keras; print(keras.models.load_model('run/model.keras').skeleton.names[0])"
    assert run_python(code, tmp_path) == "nose\n"


def steps_done(checkpoint):
    """Of a run that may be writing it."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return json.loads(archive.read("place.json"))["step"]
    except FileNotFoundError:
        return 0


@pytest.mark.slow
def test_killed_at_random_steps_it_ends_as_if_it_had_not_been(folder):
    settings = TINY | {
        "schedule": TINY["schedule"] | {"epochs": 60, "ema": 0.9},
        "compute": {"checkpoint_steps": 3},
        "validation": {"every": 0},
    }
    (folder / "long.yaml").write_text(json.dumps(settings))
    command = ["train", "long.yaml", "--data", "people", "--output"]
    whole = start([tiny_network.__file__], [*command, "whole"], folder)
    for kill in range(2):
        # Far apart, so that the first steps of a start, which are slow, are not all there is.
        target = steps_done(folder / "run" / "checkpoint.keras") + random.SystemRandom().randint(1, 30)
        process = start([tiny_network.__file__], [*command, "run"], folder)
        deadline = time.monotonic() + 120
        while steps_done(folder / "run" / "checkpoint.keras") < target and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        process.kill()
        _, error = process.communicate()
        assert ("going on after" in error) == (kill > 0), error
    last = start([tiny_network.__file__], [*command, "run"], folder)
    for process in (whole, last):
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
    logs = []
    for run in ("whole", "run"):
        with (folder / run / "log.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert [int(row["epoch"]) for row in rows] == list(range(60))
        logs.append([float(row["loss"]) for row in rows])
    assert logs[1][-1] == pytest.approx(logs[0][-1], rel=1e-3)


@pytest.mark.slow
def test_jax_trains_without_tensorflow(folder):
    """As on a GPU machine that has only JAX: samples made on the device, measured, resumed, distilled."""
    pytest.importorskip("jax")
    settings = {"validation": {"metric": "PCK"}, "compute": {"checkpoint_steps": 1}}
    (folder / "c.yaml").write_text(json.dumps(TINY | settings))
    code = """
        import sys
        sys.modules["tensorflow"] = None
        import tiny_network
        from flpn_tf import cli
        from flpn_tf.training import fit
        fit.build_model = tiny_network.build
        sys.argv = ["flpn", "train", "c.yaml", *"{arguments}".split()]
        cli.main()
    """
    environment = {"KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(tiny_network.__file__).parent)}
    measured = "--data people --validation people --output"
    taught = "teacher.model=run/model.keras --data people --output taught"
    for arguments in (f"{measured} run", f"{measured} run", taught):
        assert run_python(code.format(arguments=arguments), folder, **environment).endswith("model.keras\n")
    config = (folder / "run" / "config.yaml").read_text()
    assert "augment_on: device" in config
    with (folder / "run" / "log.csv").open() as stream:
        assert all(float(row["val_PCK"]) >= 0 for row in csv.DictReader(stream))
