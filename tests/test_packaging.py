"""The wheel: what is in it, and that it runs a pose without TensorFlow."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = (
    "flpn_tf",
    "training",
    "convert",
    "android_demo_assets",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
MEGABYTE = 1e6

# Runs a console script's function where importing TensorFlow or Keras is an error.
WITHOUT_TENSORFLOW = """
import sys
for name in ("tensorflow", "keras", "tf_keras", "jax", "yaml", "pycocotools"):
    sys.modules[name] = None
from flpn_tf.cli import main
main()
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Built from a copy: a build leaves folders behind that a later one would pack."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    # What must stay out although it will lie in a packaged folder.
    for stray in ("golden/case.json", "java/build.gradle"):
        path = source / "android_demo_assets" / stray
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(built), str(source)], check=True, timeout=300)
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """The wheel unpacked, as an installation would lay it out."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(code, installed, cwd, *arguments):
    """Isolated from the checkout: `-P` keeps the working folder off the path, the wheel comes first."""
    return subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            f"import sys; sys.path.insert(0, {str(installed)!r})\n{code}",
            *arguments,
        ],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_wheel_holds_models_specs_and_configs_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    suffixes = {Path(name).suffix for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert suffixes <= {".py", ".typed", ".tflite", ".keras", ".json", ".txt", ".yaml"}
    assert any(name.startswith("flpn_tf/assets/") and name.endswith("_int8.tflite") for name in names)
    assert any(name.startswith("flpn_tf/assets/") and name.endswith("_float16.tflite") for name in names)
    assert "flpn_tf/assets/pose_spec.schema.json" in names
    assert any(name.startswith("flpn_tf/training/configs/") for name in names)
    shipped = json.loads((REPOSITORY / "training" / "weights" / "presets.json").read_text())
    weights = {f"{preset}.keras" for preset in shipped} | {"presets.json"}
    folder = "flpn_tf/training/weights/"
    assert {name.removeprefix(folder) for name in names if name.startswith(folder)} == weights
    folders = {folder.lower() for name in names for folder in name.split("/")[:-1]}
    assert not folders & {"golden", "java", "android_sample", "tests"}
    assert wheel.stat().st_size < 90 * MEGABYTE


def test_pose_runs_without_tensorflow_from_another_folder(installed, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    result = run(
        WITHOUT_TENSORFLOW, installed, tmp_path, "pose", "photo.png", "--json", "-", "--out", "pose.png"
    )
    assert result.returncode == 0, result.stderr
    people = json.loads(result.stdout)["people"]
    assert len(people) == 1
    assert cv2.imread(str(tmp_path / "pose.png")).shape == photo.shape


def test_training_says_what_to_install_where_tensorflow_is_absent(installed, tmp_path):
    code = WITHOUT_TENSORFLOW
    result = run(code, installed, tmp_path, "train", "c.yaml", "--data", "d", "--output", "o")
    assert result.returncode == 2
    assert "flpn-tf[train]" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_network_says_what_to_install_where_keras_is_absent(installed, tmp_path):
    code = WITHOUT_TENSORFLOW.replace("flpn_tf.cli import main", "flpn_tf import FLPN").replace("main()", "")
    last = run(code, installed, tmp_path).stderr.strip().splitlines()[-1]
    assert last == "ModuleNotFoundError: FLPN needs keras; install it with: pip install 'flpn-tf[train]'"


def test_folders_of_the_checkout_import_under_their_package_names(installed, tmp_path):
    code = """
import flpn_tf.training.fit, flpn_tf.convert.tflite, flpn_tf.assets
for module in (flpn_tf, flpn_tf.training, flpn_tf.convert, flpn_tf.assets):
    print(module.__file__)
"""
    result = run(code, installed, tmp_path)
    assert result.returncode == 0, result.stderr
    assert all(line.startswith(str(installed)) for line in result.stdout.split())


def test_weights_are_found_without_tensorflow(installed, tmp_path):
    code = WITHOUT_TENSORFLOW.replace("main()", "print(weights_path('flpn-mobile'))")
    code = code.replace("flpn_tf.cli import main", "flpn_tf.presets import weights_path")
    result = run(code, installed, tmp_path)
    assert result.stdout.startswith(str(installed)), result.stderr


def test_import_is_light(installed, tmp_path):
    code = """
import flpn_tf
flpn_tf.PoseEstimator
print([name for name in ("tensorflow", "keras", "jax") if name in sys.modules])
"""
    result = run(code, installed, tmp_path)
    assert result.stdout.strip() == "[]", result.stderr
