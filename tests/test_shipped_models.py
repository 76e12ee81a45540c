"""The `.tflite` files in the package, as they are."""

import numpy as np
import pytest
from helpers import assert_integers_only

from flpn_tf import FLPN, presets
from flpn_tf.presets import ALIASES, DEFAULT_MODEL, assets_folder
from flpn_tf.runtime.demo import PHOTOS, photo_folder
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.spec import PoseSpec

SHIPPED = sorted(assets_folder().glob("*.tflite"))
MEGABYTE = 1e6


def test_the_default_preset_ships_for_phones_and_browsers():
    stems = {path.stem for path in SHIPPED}
    assert {f"{ALIASES[DEFAULT_MODEL]}_{to}" for to in ("float16", "int8", "int8_float_io")} <= stems


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_carries_its_name_and_fits(path):
    assert PoseSpec.read_from_tflite(path).name == path.stem
    assert path.stat().st_size < 25 * MEGABYTE


@pytest.mark.parametrize("preset", presets.shipped_weights())
def test_every_file_of_a_preset_holds_the_weights_of_its_keras_file(preset):
    files = [path for path in SHIPPED if path.stem.startswith(f"{preset}_")]
    assert files
    assert presets.weights_path(preset).stat().st_size < 25 * MEGABYTE
    weights = FLPN.from_preset(preset).weights_sha256()
    assert {PoseSpec.read_from_tflite(path).weights_sha256 for path in files} == {weights}


@pytest.mark.parametrize("path", [p for p in SHIPPED if p.stem.endswith("_int8")], ids=lambda path: path.stem)
def test_int8_holds_integers_only_and_takes_plain_pixels(path):
    assert_integers_only(path)


def test_int8_and_float16_hold_the_same_weights_and_see_the_same():
    """In many boxes about each person: in any single one the scores may be 0.01 or 0.04 apart in the mean."""
    half, integer = (PoseEstimator(f"{ALIASES[DEFAULT_MODEL]}_{to}") for to in ("float16", "int8"))
    assert half.spec.weights_sha256 == integer.spec.weights_sha256
    moved, apart = [], []
    for photo, (x, y, width, height) in PHOTOS.items():
        rng = np.random.default_rng(0)
        shift, size = rng.uniform(-0.1, 0.1, (24, 2)), rng.uniform(0.85, 1.15, (24, 1))
        boxes = np.hstack([[x, y] + shift * [width, height], [width, height] * size]).tolist()
        first, second = (e.estimate(photo_folder() / photo, boxes).keypoints for e in (half, integer))
        away = np.linalg.norm(second[..., :2] - first[..., :2], axis=-1) / max(width, height)
        moved.append(np.median(away))
        apart.append(np.abs(second[..., 2] - first[..., 2]).mean())
    assert max(moved) < 0.01
    assert np.mean(apart) < 0.02
