"""The Java library beside the Python one: the same crops, joints, boxes, smoothing and refusals."""

import json
import math

import golden_vectors
import library_cases
import numpy as np
import pytest
import tracked_videos
from java_library import Questions, compiled_library, doubles
from spec_texts import ACCEPTED, GOOD, NOT_SERVED, REFUSED

from flpn_tf import geometry
from flpn_tf.errors import InputError
from flpn_tf.presets import assets_folder
from flpn_tf.runtime import estimator, smoothing, tracking
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD
from flpn_tf.spec import SPEC_VERSION, PoseSpec

PIXELS = 1e-3
DECODE = library_cases.decode_cases()
CROP = library_cases.crop_cases()
SHIPPED = sorted(assets_folder().glob("*_pose_spec.json"))
# min cutoff, beta, d cutoff.
EURO = ((smoothing.MIN_CUTOFF, smoothing.BETA, smoothing.D_CUTOFF), (1.0, 0.0, 1.0), (2.0, 0.3, 0.7))

# Mirrored, image height and width, view height and width, an image point.
PREVIEWS = (
    (0, 640, 480, 2000, 1080, 239.5, 319.5),
    (1, 640, 480, 2000, 1080, 100.0, 20.0),
    (0, 480, 640, 1080, 2400, 0.0, 479.0),
    (1, 480, 640, 1080, 2400, 639.0, 0.0),
)


def compared_heatmaps() -> dict[str, tuple[np.ndarray, np.ndarray, bool]]:
    """Name → found, expected, and whether they agree within 5 % of the expected peak."""
    case = next(case for name, case in golden_vectors.CASES.items() if name.endswith("float16"))
    maps = golden_vectors.output(case).ravel()
    peak, wrong = maps.argmax(), np.roll(maps, 1)
    plain = np.array([0.1, -1.0, 0.5], np.float32)
    cases = {
        "equal": (maps, maps, True),
        "half precision": (maps.astype(np.float16).astype(np.float32), maps, True),
        "joints out of order": (wrong, maps, False),
        "zeros": (0 * maps, maps, False),
        "something for zeros": (maps, 0 * maps, False),
        "zeros for zeros": (0 * maps, 0 * maps, True),
        "peak 4.9 % off": (scaled(maps, peak, 0.951), maps, True),
        "peak 5.1 % off": (scaled(maps, peak, 0.949), maps, False),
        "peak 5.1 % above": (scaled(maps, peak, 1.051), maps, False),
        "of the absolute peak": (plain + np.float32([0, 0, 0.049]), plain, True),
        "other sign": (np.abs(plain), plain, False),
    }
    for value in (np.nan, np.inf, -np.inf):
        broken = plain.copy()
        broken[2] = value
        cases |= {f"found {value}": (broken, plain, False), f"expected {value}": (plain, broken, False)}
        cases[f"both {value}"] = (broken, broken, False)
    return cases


def scaled(maps: np.ndarray, at: int, factor: float) -> np.ndarray:
    changed = maps.copy()
    changed[at] *= factor
    return changed


COMPARED = compared_heatmaps()


def euro_signal(seed: int):
    rng = np.random.default_rng(seed)
    times = 3 + np.cumsum(rng.uniform(0.005, 0.2, 200))
    values = 30 * np.sin(5 * times) + rng.normal(0, 2, 200)
    return values, times, rng.uniform(20, 40, 200)


def walk(seed: int = 7):
    """30 frames of a person: times, boxes, (30, K, 3) joints, some of them lost for a while."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.02, 0.05, 30))
    joints = rng.uniform(0, 100, (len(library_cases.JOINTS), 3)) + times[:, None, None] * [80, 5, 0]
    joints[..., :2] += rng.normal(0, 1, joints[..., :2].shape)
    joints[..., 2] = rng.uniform(0.3, 0.9, joints.shape[:2])
    joints[10:13, 2, 2], joints[0:4, 3, 2], joints[5::2, 4, 2] = 0.1, KEYPOINT_THRESHOLD, 0.0
    boxes = np.column_stack([rng.uniform(-5, 5, (30, 2)), rng.uniform(60, 90, (30, 2))])
    return times, boxes, joints


def boxes_to_follow(seed: int = 11):
    """Name → pose, the pose before or None, and the box it was looked for in."""
    rng, cases = np.random.default_rng(seed), {}
    for number in range(300):
        spread = 10 ** rng.uniform(0, 3, 2)
        pose = np.hstack([rng.normal(rng.normal(0, 300, 2), spread, (7, 2)), rng.uniform(0, 0.7, (7, 1))])
        before = pose + np.hstack([rng.normal(0, 20, (7, 2)), rng.uniform(-0.3, 0.3, (7, 1))])
        low, high = pose[:, :2].min(axis=0), pose[:, :2].max(axis=0)
        box = np.concatenate([low + rng.normal(0, 20, 2), (high - low) * rng.uniform(0.3, 2, 2) + 1])
        cases[number] = pose, before if number % 4 else None, box
    cases[0][0][:, 2] = 0.0
    cases[1][0][1:, 2], cases[1][0][0, 2] = KEYPOINT_THRESHOLD, 0.9
    cases[2][1][:, 2] = 0.1
    cases[3][0][:] = 40.0, 30.0, 0.5
    return cases


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """(kind, name) → the library's answer."""
    questions, numbers = Questions(), {}

    def ask(kind, name, *arguments):
        numbers[kind, name] = questions.ask(kind, *arguments)

    ask("defaults", "")
    for i, (name, (spec, values)) in enumerate(DECODE.items()):
        native = values.astype(values.dtype.newbyteorder("="))
        ask("decode", name, spec.to_json(), spec.decode_rule.upper(), i % 2, native.tobytes())
    for i, (name, (spec, picture, box)) in enumerate(CROP.items()):
        height, width = picture.shape[:2]
        ask("crop", name, spec.to_json(), box, height, width, i % 2, picture.tobytes())
        ask("points", name, spec.to_json(), box, points_of(spec))
    for name, case in golden_vectors.CASES.items():
        text = json.dumps(golden_vectors.SPECS[case["model"]])
        for rule in case["keypoints"]:
            ask("decode", (name, rule), text, rule.upper(), 0, golden_vectors.output(case).tobytes())
        picture = golden_vectors.picture(case)
        ask("crop", name, text, case["box"], *picture.shape[:2], 1, picture.tobytes())
    for case in PREVIEWS:
        mirrored, *sizes, x, y = case
        ask("preview", case, mirrored, *sizes, [x, y])
    for parameters in EURO:
        values, times, units = euro_signal(5)
        rows = np.column_stack([values, times, units])
        ask("euro", parameters, parameters, len(values), rows)
    times, boxes, joints = walk()
    ask("smooth", "walk", GOOD, EURO[0], 30, *np.hstack([times[:, None], boxes, joints.reshape(30, -1)]))
    for name, (found, expected, _) in COMPARED.items():
        ask("agree", name, 0.05, len(found), found, expected)
    for name, (pose, before, box) in boxes_to_follow().items():
        ask("next box", name, GOOD, pose, int(before is not None), [] if before is None else before, box)
    for name, video in tracked_videos.VIDEOS.items():
        ask("track", name, *video.question(GOOD))
    for name, (text, _) in (REFUSED | NOT_SERVED).items():
        ask("spec", name, text)
    for name, text in ACCEPTED.items():
        ask("spec", name, text)
    for path in SHIPPED:
        ask("spec", path.name, path.read_text())
    ask("refusals", "", library_cases.spec(library_cases.SIZES[0], output_dtype="uint8").to_json())
    answers = questions.answers(compiled_library(tmp_path_factory.mktemp("classes")))
    return lambda kind, name: answers[numbers[kind, name]]


@pytest.mark.parametrize("name", golden_vectors.CASES)
def test_the_golden_vectors(answer, name):
    case = golden_vectors.CASES[name]
    for rule, expected in case["keypoints"].items():
        found = doubles(answer("decode", (name, rule))).reshape(-1, 3)
        np.testing.assert_allclose(found, expected["crop"], atol=PIXELS)
    crop = golden_vectors.crop(case)
    found = np.frombuffer(answer("crop", name), crop.dtype).reshape(crop.shape)
    assert np.abs(found.astype(int) - crop).max() <= 1


@pytest.mark.parametrize("case", PREVIEWS, ids=str)
def test_preview_is_filled_centred_and_mirrored(answer, case):
    """The picture as drawn: resized to cover the view, cut in the middle, then mirrored in the view."""
    mirrored, height, width, view_height, view_width, x, y = case
    zoom = max(view_height / height, view_width / width)
    expected = (np.array([x, y]) + 0.5) * zoom - (
        np.array([width, height]) * zoom - [view_width, view_height]
    ) / 2
    if mirrored:
        expected[0] = view_width - expected[0]
    np.testing.assert_allclose(doubles(answer("preview", case)), expected, atol=1e-3)


def points_of(spec) -> np.ndarray:
    return np.random.default_rng(3).uniform(-20, 200, (len(spec.skeleton), 3))


def test_enough_cases_of_both_orientations():
    assert len(DECODE) >= 200
    shapes = {(spec.output_height > spec.output_width) for spec, _ in DECODE.values()}
    assert shapes == {True, False}


@pytest.mark.parametrize("size", library_cases.SIZES, ids=str)
@pytest.mark.parametrize("rule", ["argmax", "quarter", "dark"])
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
def test_joints_as_in_python(answer, size, rule, dtype):
    tried = 0
    for name, (spec, values) in DECODE.items():
        sizes = (spec.input_height, spec.input_width, spec.stride, spec.sigma)
        if (sizes, spec.decode_rule, spec.output_dtype) == (size, rule, dtype):
            found, expected = doubles(answer("decode", name)), library_cases.decoded(spec, values).ravel()
            assert np.isfinite(expected).all(), name
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=PIXELS, err_msg=name)
            tried += 1
    assert tried >= 12


def exact_crop(picture, affine, height, width):
    """Bilinear sampling at float64 coordinates, 0 outside: each pixel's four neighbours."""
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    x, y = np.moveaxis(geometry.transform_points(np.stack([u, v], -1), geometry.invert_affine(affine)), -1, 0)
    total = np.zeros((height, width, 3))
    for column in (np.floor(x), np.floor(x) + 1):
        for row in (np.floor(y), np.floor(y) + 1):
            inside = (column >= 0) & (row >= 0) & (column < picture.shape[1]) & (row < picture.shape[0])
            weight = inside * (1 - np.abs(x - column)) * (1 - np.abs(y - row))
            at = np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)
            total += weight[..., None] * picture[at]
    return total


def test_crops_as_in_python(answer):
    """Exact but for values half-way between two levels; OpenCV's are within 1 level, 0.3 % of them not equal.

    The huge boxes are beyond OpenCV's float32 coordinates.
    """
    shares = []
    for name, (spec, picture, box) in CROP.items():
        size = (spec.input_height, spec.input_width)
        affine = geometry.crop_affine(box, *size, spec.padding)
        found = np.frombuffer(answer("crop", name), spec.input_dtype).reshape(*size, 3).astype(int)
        assert np.abs(found - exact_crop(picture, affine, *size)).max() < 0.5 + 1e-6, name
        if "huge" not in name:
            error = np.abs(found - geometry.warp(picture, affine, *size))
            assert error.max() <= 1, name
            shares.append((error > 0).mean())
    assert np.mean(shares) < 0.003


def test_points_as_in_python_and_back_again(answer):
    for name, (spec, _, box) in CROP.items():
        points = points_of(spec)
        affine = geometry.crop_affine(box, spec.input_height, spec.input_width, spec.padding)
        there, back = doubles(answer("points", name)).reshape(2, -1, 3)
        expected = geometry.transform_points(points[:, :2], geometry.invert_affine(affine))
        np.testing.assert_allclose(there[:, :2], expected, rtol=1e-9, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(back, points, atol=1e-6, err_msg=name)
        np.testing.assert_array_equal(there[:, 2], points[:, 2])


def euro(values, times, units, min_cutoff, beta, d_cutoff):
    """The paper's algorithm, written out: exponential smoothing of the speed, then of the value."""

    def alpha(cutoff, period):
        return 1 / (1 + 1 / (2 * math.pi * cutoff) / period)

    smooth, speed, last = [values[0]], 0.0, times[0]
    for value, time, unit in zip(values[1:], times[1:], units[1:], strict=True):
        period, last = time - last, time
        a = alpha(d_cutoff, period)
        speed = a * (value - smooth[-1]) / period + (1 - a) * speed
        a = alpha(min_cutoff + beta * abs(speed / unit), period)
        smooth.append(a * value + (1 - a) * smooth[-1])
    return np.array(smooth)


@pytest.mark.parametrize("parameters", EURO, ids=str)
def test_one_euro_as_published(answer, parameters):
    signal = euro_signal(5)
    found = doubles(answer("euro", parameters))
    np.testing.assert_allclose(found, euro(*signal, *parameters), atol=1e-9)
    assert np.abs(found - signal[0]).max() > 1


def test_smoothed_poses_are_one_euro_between_losses(answer):
    times, boxes, joints = walk()
    found = doubles(answer("smooth", "walk")).reshape(joints.shape)
    units = boxes[:, 2:].max(axis=1)
    expected = joints.copy()
    for joint in range(joints.shape[1]):
        seen = joints[:, joint, 2] > KEYPOINT_THRESHOLD
        for run in np.split(np.arange(30), np.flatnonzero(np.diff(seen)) + 1):
            if seen[run[0]]:
                for axis in (0, 1):
                    smooth = euro(joints[run, joint, axis], times[run], units[run], *EURO[0])
                    expected[run, joint, axis] = smooth
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(found - joints).max() > 0.5


def test_smoothing_has_the_constants_of_its_python_twin(answer):
    smoother = smoothing.PoseSmoother()
    times, boxes, joints = walk()
    twin = [smoother(pose, time, box) for pose, time, box in zip(joints, times, boxes, strict=True)]
    constants = tuple(doubles(answer("defaults", "")))
    assert constants[:3] == EURO[0]
    assert constants[4:8] == (
        KEYPOINT_THRESHOLD,
        estimator.MAX_COORDINATE,
        estimator.MIN_BOX_SIDE,
        SPEC_VERSION,
    )
    found = doubles(answer("smooth", "walk")).reshape(joints.shape)
    np.testing.assert_allclose(found, np.array(twin), atol=1e-9)


@pytest.mark.parametrize("name", COMPARED)
def test_heatmaps_agree_within_a_share_of_the_peak(answer, name):
    assert doubles(answer("agree", name)) == COMPARED[name][2]


def test_next_box_as_in_python(answer):
    for name, (pose, before, box) in boxes_to_follow().items():
        score, *found = doubles(answer("next box", name))
        assert score == pytest.approx(estimator.pose_scores(pose[None])[0], abs=1e-12)
        expected = tracking.next_box(pose, before, box)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9, err_msg=str(name))


def test_tracking_has_the_constants_of_its_python_twin(answer):
    constants = doubles(answer("defaults", ""))
    assert constants[3] == estimator._BOX_MARGIN
    assert tuple(constants[8:]) == (
        tracking._BELIEF_IN_NEW,
        tracking._BELIEF_IN_KNOWN,
        tracking.SEARCH_INTERVAL,
        tracking.MEMORY,
        tracking._LARGER,
        tracking._FASTEST_SHRINKING,
    )


@pytest.mark.parametrize("name", tracked_videos.VIDEOS)
def test_a_person_is_tracked(answer, name):
    frames = doubles(answer("track", name)).reshape(-1, 7)
    tracked_videos.VIDEOS[name].check([tracked_videos.Frame(*row[:3], row[3:]) for row in frames])


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_spec_is_refused_as_in_python(answer, name):
    text, reason = REFUSED[name]
    message = answer("spec", name).decode()
    assert message.startswith("pose_spec.json: ")
    assert reason in message
    assert "Exception" not in message
    assert "\n" not in message
    with pytest.raises(InputError):
        PoseSpec.from_json(text)


@pytest.mark.parametrize("name", NOT_SERVED)
def test_a_good_spec_that_cannot_be_served_is_refused(answer, name):
    text, reason = NOT_SERVED[name]
    assert reason in answer("spec", name).decode()
    PoseSpec.from_json(text)


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_good_spec_is_read_as_in_python(answer, name):
    text = ACCEPTED[name]
    assert answer("spec", name).decode() == read_as(PoseSpec.from_json(text))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_specs_are_read(answer, path):
    assert answer("spec", path.name).decode() == read_as(PoseSpec.from_json(path.read_text()))


def read_as(spec: PoseSpec) -> str:
    sizes = (f"{spec.input_height}x{spec.input_width}", f"{spec.output_height}x{spec.output_width}")
    words = (spec.name, spec.input_dtype, spec.output_dtype, spec.decode_rule.upper(), *sizes)
    return " ".join(["ok", *words, str(len(spec.skeleton.limbs))])


def test_wrong_calls_are_refused_in_one_clear_sentence(answer):
    lines = answer("refusals", "").decode().splitlines()
    assert len(lines) == 17
    for line in lines:
        assert "Received: " in line, line
