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


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CASES)
def test_the_formulae_of_the_readme_give_them(name, rule):
    case = CASES[name]
    spec = golden_vectors.SPECS[case["model"]]
    scale, zero_point = spec["output"]["scale"], spec["output"]["zero_point"]
    maps = (golden_vectors.output(case).astype(np.float64) - zero_point) * scale
    step = {"argmax": lambda *_: (0.0, 0.0), "quarter": quarter_step, "dark": dark_step}[rule]
    found = []
    for m in np.moveaxis(maps, -1, 0):
        r, c = np.unravel_index(m.argmax(), m.shape)
        dx, dy = step(m, r, c, spec["decode"]["sigma"])
        found.append([spec["decode"]["stride"] * (c + dx), spec["decode"]["stride"] * (r + dy), m[r, c]])
    np.testing.assert_allclose(case["keypoints"][rule]["crop"], found, atol=1e-3)
    (s, _, tx), (_, _, ty) = box_to_affine(case["box"], spec["input"], spec["crop"]["padding"])
    np.testing.assert_allclose(case["affine"], [[s, 0, tx], [0, s, ty]], atol=1e-8)
    image = (np.array(found)[:, :2] - [tx, ty]) / s
    np.testing.assert_allclose(np.array(case["keypoints"][rule]["image"])[:, :2], image, atol=1e-3)


def box_to_affine(box, size, padding):
    x, y, width, height = box
    s = size["width"] / (padding * max(width, height * size["width"] / size["height"]))
    tx = size["width"] / 2 - s * (x + width / 2)
    return (s, 0, tx), (0, s, size["height"] / 2 - s * (y + height / 2))


def quarter_step(m, r, c, _):
    def along(line, at):
        if at in (0, len(line) - 1):
            return 0.25 if at == 0 else -0.25
        return 0.25 * np.sign(line[at + 1] - line[at - 1])

    return along(m[r], c), along(m[:, c], r)


def dark_step(m, r, c, sigma):
    h, w = m.shape
    c0, r0 = np.clip(c, 1, w - 2), np.clip(r, 1, h - 2)

    def kernel(at, size):
        i = np.arange(size)
        n = min(np.ceil(2.5 * sigma), at - 1, size - 2 - at)
        # Row k weighs the line for the smoothed value at `at - 1 + k`.
        away = i - (at + np.array([[-1], [0], [1]]))
        g = np.exp(-(away**2) / (2 * sigma**2)) * (np.abs(away) <= n)
        return g / g.sum(axis=1, keepdims=True)

    L = np.log(np.maximum(kernel(r0, h) @ m @ kernel(c0, w).T, m[r, c] / 1000))
    Lx, Ly = (L[1, 2] - L[1, 0]) / 2, (L[2, 1] - L[0, 1]) / 2
    Lxx, Lyy = L[1, 2] - 2 * L[1, 1] + L[1, 0], L[2, 1] - 2 * L[1, 1] + L[0, 1]
    Lxy = (L[2, 2] - L[2, 0] - L[0, 2] + L[0, 0]) / 4
    D = Lxx * Lyy - Lxy**2
    if not (Lxx < 0 and D > 1e-9):
        return 0.0, 0.0
    dx, dy = c0 - c + (Lxy * Ly - Lyy * Lx) / D, r0 - r + (Lxy * Lx - Lxx * Ly) / D
    return np.clip(dx, -1, 1), np.clip(dy, -1, 1)


def test_there_is_something_to_see():
    scores = {name: np.array(case["keypoints"]["dark"]["crop"])[:, 2] for name, case in CASES.items()}
    assert all((score > 0.2).sum() >= 16 for name, score in scores.items() if "small" not in name)
    # Joints that count as not found, for ports to meet.
    assert all((score <= 0.2).sum() >= 12 for name, score in scores.items() if "small" in name)


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
