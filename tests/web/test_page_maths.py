"""The page's modules under node, beside Python's."""

import base64
import json
import shutil
import subprocess

import numpy as np
import page_modules
import pytest
from helpers import REPOSITORY
from page_modules import array, boxes, call, call_one, points

from flpn_tf import geometry
from flpn_tf.codec import DECODE_RULES, HeatmapCodec
from flpn_tf.errors import InputError
from flpn_tf.presets import assets_folder
from flpn_tf.runtime import estimator, smoothing, tracking
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD
from flpn_tf.skeleton import SKELETONS, joint_side
from flpn_tf.spec import PoseSpec

SIZES = [(192, 160), (64, 96), (50, 50)]  # of crops, height and width

pytestmark = page_modules.NEEDS_NODE


def test_crop_affines_and_back():
    rng = np.random.default_rng(0)
    cases = [(box, *SIZES[i % 3], rng.uniform(0.5, 2)) for i, box in enumerate(boxes(rng, 210))]
    affines = call([["crop", "cropAffine", box.tolist(), *rest] for box, *rest in cases])
    expected = np.array([geometry.crop_affine(*case) for case in cases])
    np.testing.assert_allclose(np.reshape(affines, (-1, 2, 3)), expected, rtol=1e-12, atol=1e-9)

    joints = rng.uniform(-50, 250, (210, 17, 3))
    inverses = call([["crop", "invertAffine", affine] for affine in affines])
    back = call(
        [
            ["crop", "transformKeypoints", points(each), inverse]
            for each, inverse in zip(joints, inverses, strict=True)
        ]
    )
    for found, each, affine in zip(back, joints, expected, strict=True):
        places = geometry.transform_points(each[:, :2], geometry.invert_affine(affine))
        np.testing.assert_allclose(array(found)[:, :2], places, atol=1e-3)
        np.testing.assert_array_equal(array(found)[:, 2], each[:, 2])


def test_an_affine_that_turns_is_inverted():
    affine = geometry.crop_affine([10, 20, 30, 50], 64, 48, rotation=33.0, flip=True)
    found = call_one("crop", "invertAffine", affine.ravel().tolist())
    np.testing.assert_allclose(np.reshape(found, (2, 3)), geometry.invert_affine(affine), atol=1e-9)


@pytest.mark.parametrize("size", [(40, 61), (61, 40)], ids=["wide", "tall"])
def test_crops_are_those_of_geometry(size):
    """To the last bit, of noise; boxes inside, across the border, around all of it and outside.

    OpenCV fuses multiplications and additions where the processor can: a level is allowed for others.
    """
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    rgba = np.dstack([image, rng.integers(0, 256, size, dtype=np.uint8)])
    page_image = {"width": size[1], "height": size[0], "data": rgba.ravel().tolist()}
    tried = [[5, 6, 20, 25], [-20, -30, 40, 50], [30, 20, 60, 60], [-40, -40, 160, 170], [200, 10, 30, 40]]
    affines = [geometry.crop_affine(box, 24, 16) for box in tried]
    affines.append(geometry.crop_affine(tried[0], 24, 16, rotation=20.0))
    affines.append(np.array([[1.0, 0, 0], [0, 1, 0]]))  # pixel onto pixel
    crops = call([["crop", "warp", page_image, affine.ravel().tolist(), 24, 16] for affine in affines])
    crops = np.reshape(crops, (-1, 24, 16, 3))
    for found, affine in zip(crops, affines, strict=True):
        expected = geometry.warp(image, affine, 24, 16)
        difference = np.abs(found - expected.astype(int))
        assert difference.max() <= 1
        assert (difference > 0).sum() <= 3
    assert not crops[4].any()
    np.testing.assert_array_equal(crops[6], image[:24, :16])


def test_the_box_around_a_pose_and_whether_it_touches():
    rng = np.random.default_rng(2)
    people = np.dstack([rng.uniform(-100, 300, (220, 17, 2)), rng.uniform(-0.1, 0.6, (220, 17, 1))])
    people[:10, :, 2] = 0.1
    people[10:20, 1:, 2] = KEYPOINT_THRESHOLD  # at it is not above it: one is too few
    people[20:30, :, :2] = 7.0  # all in one place
    people[30:40, 2:, 2] = 0.0
    found = call([["poses", "boxAround", points(person)] for person in people])
    expected = [estimator.box_around(person) for person in people]
    assert 20 <= sum(box is None for box in expected) < 100
    assert [box is None for box in found] == [box is None for box in expected]
    pairs = [(a, b) for a, b in zip(found, expected, strict=True) if a is not None]
    np.testing.assert_allclose(*map(np.array, zip(*pairs, strict=True)), atol=1e-9)

    picture = {"width": 120, "height": 80}
    tried = [*boxes(rng, 200).tolist(), [120, 0, 5, 5], [-5, 0, 5, 5], [0, 80, 5, 5], [119, 79, 1, 1]]
    touching = call([["crop", "touches", box, picture] for box in tried])
    assert touching == [geometry.touches(box, 80, 120) for box in tried]
    assert {True, False} == set(touching)


@pytest.mark.parametrize(
    "box, scale, meant",
    [
        ([0, 0, 30, 90], 1, True),
        ([0, 0, 24, 192], 1, True),
        ([0, 0, 24, 193], 1, False),
        ([0, 0, 400, 49], 1, False),
        ([0, 0, 14, 60], 1, False),
        ([0, 0, 60, 23], 1, False),
        ([0, 0, 60, 90], 3, False),
        ([0, 0, 10, 30], 0.4, True),
    ],
    ids=str,
)
def test_a_slip_of_the_hand_is_no_box(box, scale, meant):
    """`scale` is of image pixels to those of the screen, where a hand slips."""
    assert call_one("stage", "isMeant", box, scale) is meant


def heatmaps(rng, height, width, kind):
    """(height, width, 5) float32."""
    maps = rng.uniform(-0.1, 0.4, (height, width, 5)).astype(np.float32)
    if kind == "noise":
        return maps
    codec = HeatmapCodec(height, width)
    where = rng.uniform(-4, 4 + 4 * np.array([width, height]), (5, 2))
    if kind == "corners":
        where = 4.0 * np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1], [1, 1]])
    gaussians = codec.encode(where, np.ones(5))[0]
    if kind == "broken":
        gaussians[2, 3, 0] = np.nan
        gaussians[1, 1, 1] = np.inf
        gaussians[1, 2, 2] = -np.inf
        gaussians[..., 3] = -1.0
        gaussians[..., 4] = 0.0
    elif kind == "equal":
        gaussians[2, 3], gaussians[5, 1] = 2.0, 2.0
    return gaussians + 0.01 * maps if kind == "people" else gaussians


@pytest.mark.parametrize("rule", DECODE_RULES)
def test_decoding_is_that_of_the_codec(rule):
    rng = np.random.default_rng(3)
    cases = []
    for i in range(210):
        height, width = [(16, 12), (12, 16), (30, 9), (3, 3)][i % 4 if i < 200 else i % 3]
        kind = ["people", "noise", "corners", "people"][i % 4] if i < 200 else ["broken", "equal"][i % 2]
        codec = HeatmapCodec(height, width, stride=1 + i % 5, sigma=1.0 + i % 3, decode_rule=rule)
        cases.append((codec, heatmaps(rng, height, width, kind)))
    page_codecs = [
        {
            "height": c.height,
            "width": c.width,
            "joints": 5,
            "stride": c.stride,
            "sigma": c.sigma,
            "rule": rule,
        }
        for c, _ in cases
    ]
    found = call(
        [
            ["decode", "decode", [v if np.isfinite(v) else written(v) for v in maps.ravel().tolist()], codec]
            for codec, (_, maps) in zip(page_codecs, cases, strict=True)
        ]
    )
    expected = np.array([codec.decode(maps) for codec, maps in cases])
    np.testing.assert_allclose(np.array([array(each) for each in found]), expected, atol=1e-3)


def written(value):
    """As JavaScript's Number reads it; json has neither."""
    return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@pytest.mark.parametrize("size", [40.0, 900.0], ids=["small", "large"])
def test_smoothing_is_that_of_the_runtime(size):
    """Joints that come, go and come back; uneven times; a box that changes."""
    rng = np.random.default_rng(4)
    times = 5 + np.cumsum(rng.uniform(0.01, 0.2, 220))
    people = np.dstack(
        [np.cumsum(rng.normal(0, 0.02 * size, (220, 9, 2)), axis=0), rng.uniform(0, 1, (220, 9, 1))]
    )
    shapes = np.column_stack([np.zeros((220, 2)), rng.uniform(0.5, 1.0, (220, 2)) * size])
    options = {"minCutoff": 0.7, "beta": 5.0, "dCutoff": 1.3}
    frames = [
        {"keypoints": points(person), "time": time, "box": box}
        for person, time, box in zip(people, times.tolist(), shapes.tolist(), strict=True)
    ]
    found = call_one("smoothing", "PoseSmoother", options, frames)
    smooth = smoothing.PoseSmoother(0.7, 5.0, 1.3)
    expected = [smooth(*frame) for frame in zip(people, times.tolist(), shapes.tolist(), strict=True)]
    np.testing.assert_allclose([array(each) for each in found], expected, atol=1e-3)
    assert np.abs(np.array(expected) - people).max() > 0.01 * size


def test_smoothing_refuses_a_time_that_stands_still():
    frame = {"keypoints": points([[1, 2, 0.9]]), "time": 3.0, "box": [0, 0, 10, 10]}
    [answer] = call([["smoothing", "PoseSmoother", {}, [frame, frame]]], raw=True)
    assert answer["error"].startswith("RangeError: time must grow")


def test_constants_are_python_s():
    names = [("smoothing", "MIN_CUTOFF"), ("smoothing", "BETA"), ("smoothing", "D_CUTOFF")]
    names += [("poses", "KEYPOINT_THRESHOLD"), ("crop", "MIN_BOX_SIDE"), ("crop", "MAX_COORDINATE")]
    names += [("tracking", "SEARCH_INTERVAL")]
    assert call([list(name) for name in names]) == [
        smoothing.MIN_CUTOFF,
        smoothing.BETA,
        smoothing.D_CUTOFF,
        KEYPOINT_THRESHOLD,
        estimator.MIN_BOX_SIDE,
        estimator.MAX_COORDINATE,
        tracking.SEARCH_INTERVAL,
    ]


def test_person_scores():
    rng = np.random.default_rng(5)
    people = rng.uniform(0, 1, (50, 17, 3))
    people[0, :, 2] = 0.1
    found = call([["poses", "poseScore", points(person)] for person in people])
    np.testing.assert_allclose(found, estimator.pose_scores(people), atol=1e-12)


def test_sides_of_joints():
    names = [name for skeleton in SKELETONS.values() for name in skeleton.names]
    names += ["L_Eye", "eyeR", "lElbow", "head_top", "r", "upper_l_arm", "", "Rumpf", "LeftKnee2"]
    found = call([["draw", "jointSide", name] for name in names])
    assert found == [joint_side(name) or "none" for name in names]


@pytest.mark.parametrize("path", sorted(assets_folder().glob("*.tflite")), ids=lambda path: path.stem)
def test_reads_the_spec_inside_a_shipped_model(path):
    content = base64.b64encode(path.read_bytes()).decode()
    assert call_one("spec", "specFromTflite", content, path.name) == PoseSpec.read_from_tflite(path).to_dict()


@pytest.fixture(scope="module")
def spec():
    return json.loads(PoseSpec.read_from_tflite(next(assets_folder().glob("*_float16.tflite"))).to_json())


WRONG = {
    "spec_version": 2,
    "input.layout": "NCHW",
    "input.color": "BGR",
    "input.dtype": "int8",
    "input.height": 0,
    "input.width": 161,
    "input.range": [0, 1],
    "input.normalised_inside": False,
    "crop.padding": None,
    "crop.interpolation": "nearest",
    "crop.border": 255,
    "output.height": 2,
    "output.dtype": "int16",
    "output.scale": "1",
    "output.zero_point": 0.5,
    "decode.rule": "softargmax",
    "decode.stride": 2,
    "decode.sigma": 0,
    "skeleton.names": [],
    "skeleton.limbs": [[0, 17]],
}


def test_refuses_a_spec_it_cannot_run(spec):
    cases = []
    for path, value in WRONG.items():
        changed = json.loads(json.dumps(spec))
        *sections, last = path.split(".")
        inner = changed[sections[0]] if sections else changed
        inner[last] = value
        cases.append(["spec", "parseSpec", json.dumps(changed), "model.tflite"])
        del inner[last]
        cases.append(["spec", "parseSpec", json.dumps(changed), "model.tflite"])
    for (path, value), given, without in zip(
        WRONG.items(), *(call(cases, raw=True)[start::2] for start in (0, 1)), strict=True
    ):
        for answer in (given, without):
            assert answer.get("error", "").startswith("InputError: model.tflite: "), (path, answer)
        # A stride or a width that does not fit is said of the input's height or width.
        assert path in given["error"] or "input." in given["error"]
        assert json.dumps(value, separators=(",", ":")) in given["error"] or "input." in given["error"]
    assert call_one("spec", "parseSpec", json.dumps(spec), "model.tflite") == spec


@pytest.mark.parametrize("limbs", [[None], ["ab"], 3])
def test_refuses_limbs_that_are_no_pairs(spec, limbs):
    changed = spec | {"skeleton": spec["skeleton"] | {"limbs": limbs}}
    [answer] = call([["spec", "parseSpec", json.dumps(changed), "model.tflite"]], raw=True)
    assert answer["error"].startswith("InputError: model.tflite: ")
    assert "skeleton.limbs" in answer["error"]


def test_refuses_files_without_a_spec():
    model = b"\x1c\x00\x00\x00TFL3" + bytes(200)
    cut = next(assets_folder().glob("*_float16.tflite")).read_bytes()
    tried = [b"", b"not a model", model, cut[:-1], cut[:5000], model + cut[-22:]]
    answers = call(
        [["spec", "specFromTflite", base64.b64encode(t).decode(), "some.tflite"] for t in tried], raw=True
    )
    assert ["error" in answer for answer in answers] == [True] * 6
    for answer, part in zip(
        answers, ["is not a TFLite", "is not a TFLite", *4 * ["carries no pose_spec"]], strict=True
    ):
        assert answer["error"].startswith(f"InputError: some.tflite {part}")


@pytest.mark.parametrize(
    "box", [[0, 0, 0, 5], [1, 2, 3], [0, 0, None, 5], [2e6, 0, 5, 5], [200, 0, 5, 5]], ids=str
)
def test_refuses_the_boxes_python_refuses(box):
    [answer] = call([["crop", "checkBox", box, {"width": 120, "height": 80}]], raw=True)
    assert answer["error"].startswith("InputError: ")
    with pytest.raises(InputError):
        estimator.check_boxes([box], 80, 120, "photo")


def test_two_models_of_one_name_leave_the_page_as_it_was(tmp_path):
    model = next(assets_folder().glob("*_float16.tflite"))
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        shutil.copy(model, tmp_path / folder / "m.tflite")
    page = tmp_path / "dist"
    page.mkdir()
    (page / "network_worker.js").write_text("a page")
    command = [
        "node",
        REPOSITORY / "web_demo" / "build.js",
        "one/m.tflite",
        "other/m.tflite",
        "--out",
        "dist",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "build: error: two models are called m.tflite: rename one\n"
    assert [path.name for path in page.iterdir()] == ["network_worker.js"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dist", "one", "other"]
