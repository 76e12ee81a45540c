"""What is on the disk after a conversion that ended well, badly or not at all."""

import hashlib
import os
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from helpers import REPOSITORY

from flpn_tf.convert import artefact_files
from flpn_tf.convert.artefact_files import write_artefact
from flpn_tf.errors import InputError
from flpn_tf.spec import PoseSpec


def python(code, *arguments, cwd):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def folder(artefacts, tmp_path):
    """With an artefact and its copies, and what should take their place, `new`, elsewhere."""
    write_artefact(tmp_path / "m.tflite", artefacts["float32"].read_bytes())
    return tmp_path


def test_the_copies_beside_the_file_are_those_in_it(folder, artefacts):
    model = artefacts["float16"].read_bytes()
    before = contents(folder)
    write_artefact(folder / "other.tflite", model)
    after = contents(folder)
    # Those of another artefact in the folder are its own.
    assert after.items() >= before.items()
    added = {"other.tflite", "other_pose_spec.json", "other_labels.txt"}
    assert after.keys() - before.keys() == added
    assert after["other.tflite"] == model
    with zipfile.ZipFile(folder / "other.tflite") as archive:
        assert after["other_pose_spec.json"] == archive.read("pose_spec.json")
        assert after["other_labels.txt"] == archive.read("labels.txt")
    assert PoseSpec.from_json(after["other_pose_spec.json"]).output_dtype == "float32"
    assert (folder / "other.tflite").stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_link_stands_for_its_target(folder, artefacts, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("links")
    (elsewhere / "link.tflite").symlink_to(folder / "m.tflite")
    write_artefact(elsewhere / "link.tflite", artefacts["float16"].read_bytes())
    assert (elsewhere / "link.tflite").is_symlink()
    assert contents(folder)["m.tflite"] == artefacts["float16"].read_bytes()
    assert [path.name for path in elsewhere.iterdir()] == ["link.tflite"]
    assert len(contents(folder)) == 3


# Kills itself before the n-th time that a file is removed or takes its final place.
KILLED = """
import os, signal, sys
from pathlib import Path
from flpn_tf.convert.artefact_files import write_artefact

left = int(sys.argv[2])
def counted(function):
    def wrapper(path, *arguments, **options):
        global left
        if path.parent.name.startswith(".flpn.") or not path.name.startswith("."):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(path, *arguments, **options)
    return wrapper
Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)
write_artefact("m.tflite", Path(sys.argv[1]).read_bytes())
"""


def test_killed_anywhere_no_copy_is_of_another_file(folder, artefacts):
    old, new = (artefacts[to].read_bytes() for to in ("float32", "float16"))
    seen = set()
    for moment in range(12):
        write_artefact(folder / "m.tflite", old)
        ended = python(KILLED, artefacts["float16"], moment, cwd=folder)
        found = contents(folder)
        assert found["m.tflite"] in (old, new)
        seen.add((found["m.tflite"] == new, len(found)))
        with zipfile.ZipFile(folder / "m.tflite") as archive:
            for inside in ("pose_spec.json", "labels.txt"):
                assert found.get(f"m_{inside}", archive.read(inside)) == archive.read(inside), moment
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
    else:
        pytest.fail("never reached the end")
    # Before, between and behind.
    assert seen >= {(False, 3), (False, 1), (True, 1), (True, 3)}


FULL = """
import resource, sys
from pathlib import Path
from flpn_tf import errors
from flpn_tf.convert.artefact_files import write_artefact

model = Path(sys.argv[1]).read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_artefact("m.tflite", model)
except errors.InputError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [0, 100_000], ids=["at once", "halfway"])
def test_a_full_disk_leaves_the_old_files(folder, artefacts, limit):
    before = contents(folder)
    assert len(artefacts["float16"].read_bytes()) > limit
    ended = python(FULL, artefacts["float16"], limit, cwd=folder)
    assert ended.stdout == "m.tflite: cannot be written (File too large)\n", ended.stderr
    assert contents(folder) == before
    assert len(list(folder.iterdir())) == 3


def test_a_full_disk_for_the_labels_alone_leaves_the_old_files(folder, artefacts, monkeypatch):
    before, write = contents(folder), artefact_files.write_atomically

    def full(path, content):
        if path.name.endswith("labels.txt"):
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(artefact_files, "write_atomically", full)
    with pytest.raises(InputError, match=r"m.tflite: cannot be written \(No space left on device\)"):
        write_artefact(folder / "m.tflite", artefacts["float16"].read_bytes())
    assert contents(folder) == before
    assert len(list(folder.iterdir())) == 3


CONVERT = """
import os, signal, sys
import tensorflow as tf
if os.environ.get("KILLED"):
    tf.lite.TFLiteConverter.from_saved_model = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
elif os.environ.get("FULL"):
    import resource
    from flpn_tf.convert import convert_command
    inner = convert_command.convert
    def convert(*arguments, **options):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        return inner(*arguments, **options)
    convert_command.convert = convert
from flpn_tf.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["KILLED", "FULL"])
def test_the_command_that_does_not_come_to_its_end_leaves_the_old_files(network, folder, monkeypatch, how):
    network.save(folder / "small.keras")
    before = contents(folder)
    monkeypatch.setenv(how, "1")
    ended = python(CONVERT, "convert", "small.keras", "m.tflite", cwd=folder)
    assert contents(folder) == before
    if how == "KILLED":
        assert ended.returncode == -signal.SIGKILL
    else:
        assert ended.returncode == 2
        # Before it are the notices of TensorFlow, which this process imports itself.
        assert ended.stderr.splitlines()[-1].startswith("flpn: error: m.tflite: cannot be converted (")
        assert "Traceback" not in ended.stderr


AGAIN = """
import hashlib, sys
import numpy as np
from flpn_tf.convert.tflite import convert
from flpn_tf.models.load import load_network

network, crops = load_network(sys.argv[1]), np.load(sys.argv[2])
for to in ("float16", "int8"):
    print(to, hashlib.sha256(convert(network, to, crops, f"small_{to}")).hexdigest())
"""


@pytest.mark.slow
def test_another_process_makes_the_same_bytes(network, crops, artefacts, tmp_path):
    network.save(tmp_path / "small.keras")
    np.save(tmp_path / "crops.npy", crops)
    ended = python(AGAIN, "small.keras", "crops.npy", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    digests = dict(line.split() for line in ended.stdout.splitlines()[-2:])
    assert digests == {
        to: hashlib.sha256(artefacts[to].read_bytes()).hexdigest() for to in ("float16", "int8")
    }
