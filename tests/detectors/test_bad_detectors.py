"""What is no detector, or none that can be read, is refused in one sentence."""

import sys

import numpy as np
import painted
import painted_networks as networks
import pytest

from flpn_tf.errors import InputError
from flpn_tf.runtime.detectors import open_detector


def _refused(path, **options) -> str:
    with pytest.raises(InputError) as caught:
        open_detector(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
@pytest.mark.parametrize("content", [b"", b"a letter, and no network", None], ids=["empty", "text", "folder"])
def test_no_network(tmp_path, suffix, content):
    if suffix == "onnx":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = tmp_path / f"detector.{suffix}"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    assert str(path) in _refused(path)


@pytest.mark.parametrize("name", ["missing.tflite", "missing.onnx", "detector.pt"])
def test_no_file(tmp_path, name):
    assert name in _refused(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "received"),
    [
        ({"layout": "yolov8"}, "Received: yolov8"),
        ({"min_score": 1.5}, "Received: 1.5"),
        ({"min_score": float("nan")}, "Received: nan"),
        ({"max_people": 0}, "Received: 0"),
        ({"person": 3}, "0 to 2. Received: 3"),
        ({"person": -1}, "Received: -1"),
        ({"layout": "yolox"}, "is not of the layout yolox, whose outputs are one output (1, cells"),
        ({"layout": "picodet"}, "(1, 5, 4)"),
    ],
    ids=str,
)
def test_bad_options(ssd_file, options, received):
    assert received in _refused(ssd_file, **options)


def test_a_pose_model(dots_tflite):
    message = _refused(dots_tflite)
    assert "none of the layouts yolox, ssd, picodet" in message
    assert "(1, 16, 12, 3)" in message


def _file(tmp_path, outputs, shape=(1, 32, 48, 3)):
    """A network that gives these arrays, or what a function makes of the picture."""
    import tensorflow as tf

    def graph(image):
        nothing = tf.reduce_sum(image) * 0.0
        values = outputs(image) if callable(outputs) else outputs
        return {f"output_{place}": nothing + value for place, value in enumerate(values)}

    path = tmp_path / "detector.tflite"
    path.write_bytes(networks.convert(graph, shape))
    return path


BOXES, SCORES = np.zeros((1, 6, 4), np.float32), np.zeros((1, 6, 3), np.float32)
ENCODINGS = np.random.default_rng(0).normal(size=(1, 6, 4)).astype(np.float32)
PIXELS = np.float32([[[40, 30, 90, 80]] * 6])
LIST = np.zeros((1, 6), np.float32)


@pytest.mark.parametrize(
    "outputs",
    [
        (ENCODINGS, SCORES),
        (PIXELS, SCORES),
        (BOXES, SCORES[:, :5]),
        (BOXES, LIST, LIST, np.zeros(1, np.float32)),  # the converter's order is no known one
        (LIST + 7, np.zeros(1, np.float32) + 6, BOXES, LIST),  # scores of 7
        (np.zeros((1, 40, 85), np.float32),),  # not YOLOX's number of cells
        (np.zeros((1, 30, 5), np.float32),),  # no class
        (np.zeros((7, 6), np.float32),),  # rows without a scale factor
    ],
    ids=["encodings", "pixels", "counts", "order", "scores", "cells", "classes", "rows"],
)
def test_outputs_of_no_layout(tmp_path, outputs):
    message = _refused(_file(tmp_path, outputs))
    assert "none of the layouts" in message
    for output in outputs:
        assert f"({', '.join(map(str, output.shape))})" in message


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((32, 48, 3), "needs one picture"),
        ((1, 32, 48, 4), "needs a picture of (1, height, width, 3)"),
        ((1, None, None, 3), "fixed height and width"),
        ((2, 32, 48, 3), "needs a picture of"),
    ],
    ids=["rank", "channels", "size", "batch"],
)
def test_inputs_of_other_shapes(tmp_path, shape, reason):
    message = _refused(_file(tmp_path, (BOXES, SCORES), shape))
    assert reason in message
    assert "Received: serving_default_image:0 (" in message


def test_two_pictures(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx, which makes the network, is not installed")
    ops = networks.OnnxOps()
    values = [networks.OnnxValue(ops, name) for name in "ab"]
    inputs = {name: ("float32", [1, 3, 32, 48]) for name in "ab"}
    path = tmp_path / "two.onnx"
    path.write_bytes(ops.file(inputs, {"boxes": (values[0] + values[1], 4)}))
    message = _refused(path)
    assert "needs one picture" in message
    assert "a (1, 3, 32, 48) float32; b (1, 3, 32, 48) float32" in message


def test_nan(tmp_path):
    path = _file(tmp_path, (BOXES + np.float32(np.nan), SCORES))
    with pytest.raises(InputError, match="gives NaN"):
        open_detector(path)(np.zeros((20, 20, 3), np.uint8))


def test_nan_of_some_photos(tmp_path):
    import tensorflow as tf

    # The logarithm of what is negative in a white photo.
    path = _file(tmp_path, lambda image: (BOXES, SCORES + tf.math.log(0.5 - tf.reduce_max(image))))
    detector = open_detector(path)
    assert len(detector(np.zeros((20, 20, 3), np.uint8))) == 0
    with pytest.raises(InputError, match="gives NaN"):
        detector(np.full((20, 20, 3), 255, np.uint8))


def test_no_photo(ssd_file):
    with pytest.raises(InputError, match=r"RGB array \(H, W, 3\) of uint8"):
        open_detector(ssd_file)(painted.photo(100, 100)[..., 0])


def test_onnxruntime_is_an_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = tmp_path / "detector.onnx"
    path.write_bytes(b"any")
    assert "pip install 'flpn-tf[onnx]'" in _refused(path)
