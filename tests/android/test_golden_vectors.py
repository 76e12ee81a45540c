"""The shipped golden vectors beside the codec, the geometry and the models as they are now."""

import dataclasses
import json

import golden_vectors
import numpy as np
import pytest

from flpn_tf import geometry
from flpn_tf.convert.golden import write_goldens
from flpn_tf.errors import InputError
from flpn_tf.presets import assets_folder
from flpn_tf.runtime.files import sha256_of
from flpn_tf.spec import PoseSpec

RULES = ("argmax", "quarter", "dark")
CASES = golden_vectors.CASES


def test_small_complete_and_of_both_orientations():
    index, folder = golden_vectors.INDEX, golden_vectors.GOLDEN
    named = {case[key] for case in index["cases"] for key in ("crop", "output")}
    named |= {picture["file"] for picture in index["pictures"]} | {"index.json", "README.md"}
    assert {path.name for path in folder.iterdir()} == named
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1e6
    assert {picture["height"] > picture["width"] for picture in index["pictures"]} == {True, False}
    assert {spec["output"]["dtype"] for spec in golden_vectors.SPECS.values()} == {"uint8", "float32"}
    assert len(CASES) == len(index["cases"]) == 6


@pytest.mark.parametrize("model", golden_vectors.INDEX["models"], ids=lambda model: model["file"])
def test_of_the_models_that_ship(model):
    """Fails after new weights: the README beside the vectors has the command that makes them again."""
    path = assets_folder() / model["file"]
    assert sha256_of(path) == model["sha256"]
    assert PoseSpec.read_from_tflite(path).to_dict() == model["spec"]


@pytest.mark.parametrize("name", CASES)
def test_the_geometry_still_agrees(name):
    case = CASES[name]
    spec = golden_vectors.SPECS[case["model"]]
    size = (spec["input"]["height"], spec["input"]["width"])
    affine = geometry.crop_affine(case["box"], *size, spec["crop"]["padding"])
    np.testing.assert_allclose(case["affine"], affine, atol=1e-8)
    crop = geometry.warp(golden_vectors.picture(case), affine, *size)
    error = np.abs(crop.astype(int) - golden_vectors.crop(case))
    assert error.max() <= 1
    assert (error > 0).mean() < 0.01


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CASES)
def test_the_codec_still_agrees(name, rule):
    case = CASES[name]
    spec = PoseSpec.from_json(json.dumps(golden_vectors.SPECS[case["model"]]))
    codec = dataclasses.replace(spec.codec, decode_rule=rule)
    stored = golden_vectors.output(case).astype(np.float32)
    found = codec.decode((stored - spec.output_zero_point) * np.float32(spec.output_scale))
    expected = case["keypoints"][rule]
    np.testing.assert_allclose(expected["crop"], found, atol=1e-5)
    inverse = np.linalg.inv(np.vstack([case["affine"], [0, 0, 1]]))
    image = np.column_stack([found[:, :2], np.ones(len(found))]) @ inverse[:2].T
    np.testing.assert_allclose(np.array(expected["image"])[:, :2], image, atol=1e-4)


def test_there_is_something_to_see():
    scores = {name: np.array(case["keypoints"]["dark"]["crop"])[:, 2] for name, case in CASES.items()}
    assert all((score > 0.2).sum() >= 16 for name, score in scores.items() if "small" not in name)
    assert all((score <= 0.2).all() for name, score in scores.items() if "small" in name)


def test_the_generator_is_deterministic(tmp_path):
    model = golden_vectors.INDEX["models"][0]["file"].removesuffix(".tflite")
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        write_goldens([model], folder)
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert first == second
    shipped = golden_vectors.GOLDEN
    for name in ("tall.rgb", "wide.rgb", "tall_inside_192x160.uint8"):
        np.testing.assert_allclose(
            np.frombuffer(first[name], np.uint8).astype(int),
            np.frombuffer((shipped / name).read_bytes(), np.uint8).astype(int),
            atol=1,
        )


def test_two_models_of_one_name_are_refused(tmp_path):
    with pytest.raises(InputError, match="different names"):
        write_goldens(["flpn-mobile", "flpn-mobile"], tmp_path)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_goldens(["flpn-mobile"], tmp_path / "file")
