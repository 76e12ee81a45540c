"""Each layout finds the people painted in a photo, through files of both runtimes."""

import numpy as np
import painted
import painted_networks as networks
import pytest

from flpn_tf.runtime.detectors import open_detector

LITERT = {
    "yolox": (networks.yolox, {}),
    "yolox-decoded": (networks.yolox, {"decoded": True}),
    "ssd-candidates": (networks.ssd_candidates, {}),
    "ssd-tf1": (networks.ssd_processed, {"order": "scores boxes number classes"}),
    "ssd-tf2": (networks.ssd_processed, {"order": "number scores classes boxes"}),
    "picodet-distributions": (networks.picodet_distributions, {}),
    "picodet-boxes": (networks.picodet_boxes, {}),
}
ONNX = {
    "yolox": (networks.yolox, {}),
    "yolox-decoded": (networks.yolox, {"decoded": True}),
    "ssd-candidates": (networks.ssd_candidates, {"channels_first": False}),
    "picodet-distributions": (networks.picodet_distributions, {}),
    "picodet-boxes": (networks.picodet_boxes, {}),
    "picodet-rows": (networks.picodet_rows, {}),
}


@pytest.fixture(
    scope="module", params=[f"tflite-{name}" for name in LITERT] + [f"onnx-{name}" for name in ONNX]
)
def detector_file(request, tmp_path_factory):
    kind, _, name = request.param.partition("-")
    if kind == "onnx":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        pytest.importorskip("onnx", reason="onnx, which makes the networks, is not installed")
    network, options = (ONNX if kind == "onnx" else LITERT)[name]
    content = getattr(networks, f"{kind}_bytes")(network, **options)
    path = tmp_path_factory.mktemp("detectors") / f"{name}.{kind}"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("size", painted.SIZES)
def test_finds_the_painted_people(detector_file, size):
    height, width = painted.SIZES[size]
    detector = open_detector(detector_file)
    assert detector.layout == detector_file.stem.split("-")[0]
    found = detector(painted.photo(height, width))
    assert found.boxes.dtype == found.scores.dtype == np.float64
    np.testing.assert_allclose(found.scores, networks.SCORES[:2], atol=1e-3)
    # A box is found to whole pixels of the network, whose edge may be a pixel off.
    pixel = max(height / networks.HEIGHT, width / networks.WIDTH)
    np.testing.assert_allclose(found.boxes, painted.people_boxes(height, width), atol=1.1 * pixel)


def test_nobody_in_an_empty_photo(detector_file):
    found = open_detector(detector_file)(np.full((200, 300, 3), painted.GROUND, np.uint8))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)
