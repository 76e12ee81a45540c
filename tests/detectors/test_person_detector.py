"""What all layouts share: options, integers, suppression, and detectors of a user's own."""

import numpy as np
import painted
import painted_networks as networks
import pytest
from helpers import run_python

from flpn_tf.runtime.detectors import Detections, Detector, open_detector
from flpn_tf.runtime.detectors.detections import NMS_IOU, best_people
from flpn_tf.runtime.estimator import PoseEstimator

HEIGHT, WIDTH = painted.SIZES["wide"]
PHOTO = painted.photo(HEIGHT, WIDTH)
PIXEL = 1.1 * max(HEIGHT / networks.HEIGHT, WIDTH / networks.WIDTH)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"layout": "ssd", "threads": 2}, painted.people_boxes(HEIGHT, WIDTH)),
        ({"min_score": 0.7}, painted.people_boxes(HEIGHT, WIDTH)[:1]),
        ({"max_people": 1}, painted.people_boxes(HEIGHT, WIDTH)[:1]),
        ({"person": 2}, painted.thing_box(HEIGHT, WIDTH)[np.newaxis]),
        ({"min_score": 1}, np.zeros((0, 4))),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_options(ssd_file, options, expected):
    found = open_detector(ssd_file, **options)(PHOTO)
    np.testing.assert_allclose(found.boxes, expected, atol=PIXEL)


def _box_of_colours(image, low, high):
    """SSD candidates for an even picture: the box is 1 part of green high and of red wide, the score blue.

    Args:
        low, high: what black and white come as.
    """
    import tensorflow as tf

    colours = (tf.reduce_mean(image, [1, 2]) - low) / (high - low)
    red, green, blue = (tf.reshape(colours[:, channel], [1, 1]) for channel in range(3))
    box = tf.concat([red * 0.0, red * 0.0, green, red], 1)
    scores = tf.concat([blue * 0.0, blue], 1)
    boxes = tf.concat([box, tf.zeros((1, 4))], 0)
    return {
        "output_0": tf.reshape(boxes, (1, 2, 4)),
        "output_1": tf.reshape(tf.concat([scores, tf.zeros((1, 2))], 0), (1, 2, 2)),
    }


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("uint8", -1.0, 1.0), ("int8", -1.0, 1.0), ("uint8", 0.0, 255.0), ("int8", 0.0, 1.0)],
)
def test_ssd_of_integers(tmp_path, dtype, low, high):
    pictures = [np.full((1, 32, 48, 3), tone, np.float32) for tone in (low, high, low / 3 + high * 2 / 3)]
    path = tmp_path / "ssd.tflite"
    path.write_bytes(
        networks.convert(lambda image: _box_of_colours(image, low, high), (1, 32, 48, 3), pictures, dtype)
    )
    found = open_detector(path)(np.full((100, 200, 3), (200, 100, 230), np.uint8))
    np.testing.assert_allclose(found.boxes, [[0, 0, 200 * 200 / 255, 100 * 100 / 255]], atol=1.0)
    np.testing.assert_allclose(found.scores, [230 / 255], atol=0.01)


def _yolox_of_colours(image):
    """Decoded YOLOX for an even 32x32 picture: a box in the middle, blue / 8 wide and red / 8 high."""
    import tensorflow as tf

    colours = tf.reduce_mean(image, [1, 2]) / 8
    grid = np.array(
        [(c, r, s) for s in (8, 16, 32) for r in range(32 // s) for c in range(32 // s)], np.float32
    )
    rows = np.zeros((1, 21, 6), np.float32)
    rows[0, :, :2] = (grid[:, :2] + 0.5) * grid[:, 2:]
    rows[0, 20, 4:] = 1
    sides = np.zeros((3, 21 * 6), np.float32)
    sides[0, 20 * 6 + 2] = sides[2, 20 * 6 + 3] = 1
    return {"output_0": tf.reshape(tf.matmul(colours, sides), (1, 21, 6)) + rows}


def test_yolox_of_integers(tmp_path):
    pictures = [np.full((1, 32, 32, 3), tone, np.float32) for tone in ([0] * 3, [255] * 3, [40, 90, 160])]
    path = tmp_path / "yolox.tflite"
    path.write_bytes(networks.convert(_yolox_of_colours, (1, 32, 32, 3), pictures, "int8"))
    found = open_detector(path)(np.full((64, 64, 3), (200, 100, 120), np.uint8))
    np.testing.assert_allclose(found.boxes, [[32 - 15, 32 - 25, 30, 50]], atol=0.7)
    np.testing.assert_allclose(found.scores, [1], atol=0.02)


def test_the_detection_apis_own_outputs_as_onnx(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx, which makes the network, is not installed")
    path = tmp_path / "api.onnx"
    options = {"channels_first": False, "dtype": "uint8", "api": True, "order": "number boxes scores classes"}
    path.write_bytes(networks.onnx_bytes(networks.ssd_processed, **options))
    detector = open_detector(path)
    assert (detector.layout, detector.person) == ("ssd", 1)
    np.testing.assert_allclose(detector(PHOTO).boxes, painted.people_boxes(HEIGHT, WIDTH), atol=PIXEL)


def _iou(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.prod(np.maximum(high - low, 0))
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def test_suppression_is_greedy_by_iou():
    rng = np.random.default_rng(5)
    low = rng.uniform(0, 60, (80, 2))
    corners, scores = np.hstack([low, low + rng.uniform(10, 40, (80, 2))]), rng.uniform(0, 1, 80)
    expected = []
    for place in np.argsort(-scores):
        alike = (_iou(corners[place], corners[other]) > NMS_IOU for other in expected)
        if scores[place] >= 0.2 and not any(alike):
            expected.append(place)
    assert 5 < len(expected) < (scores >= 0.2).sum()  # some are suppressed, not all
    found = best_people(corners, scores, 100, 100, min_score=0.2, most=None)
    np.testing.assert_allclose(found.scores, scores[expected])
    np.testing.assert_allclose(found.boxes[:, :2], corners[expected, :2])
    np.testing.assert_allclose(found.boxes[:, 2:], corners[expected, 2:] - low[expected])


def test_boxes_are_clipped_to_the_photo():
    corners = np.array([[-np.inf, -5, np.inf, 30], [90, 10, 130, 60], [99.5, 0, 120, 50], [-20, 0, -5, 50]])
    found = best_people(corners, np.array([0.5, 0.9, 0.8, 0.7]), 50, 100, min_score=0.3, most=None)
    np.testing.assert_array_equal(found.boxes, [[90, 10, 10, 40], [0, 0, 100, 30]])


def red_people(image: np.ndarray) -> Detections:
    """A detector of a user's own: everything red is one person."""
    rows, columns = np.nonzero((image[..., 0] > 200) & (image[..., 1] < 100))
    if not len(rows):
        return Detections(np.zeros((0, 4)), np.zeros(0))
    box = columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
    return Detections(np.array([box], np.float64), np.array([0.75]))


def test_a_function_is_a_detector(dots_tflite):
    detector: Detector = red_people
    estimator = PoseEstimator(dots_tflite)
    people = detector(PHOTO)
    poses = estimator.estimate(PHOTO, people.boxes, people.scores)
    np.testing.assert_array_equal(poses.boxes, painted.people_boxes(HEIGHT, WIDTH)[:1])
    sure = estimator.estimate(PHOTO, people.boxes)
    np.testing.assert_allclose(poses.scores, 0.75 * sure.scores)
    nobody = detector(PHOTO[:, :10])
    assert len(estimator.estimate(PHOTO, nobody.boxes, nobody.scores)) == 0


def test_needs_neither_tensorflow_nor_onnxruntime(ssd_file, tmp_path):
    code = f"""
        import sys
        import numpy as np
        from flpn_tf.runtime.detectors import open_detector
        open_detector({str(ssd_file)!r})(np.zeros((20, 20, 3), np.uint8))
        print({{"tensorflow", "onnxruntime"}} & sys.modules.keys())
    """
    assert run_python(code, tmp_path).strip() == "set()"
