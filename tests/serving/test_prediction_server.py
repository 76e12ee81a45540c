"""The whole way by gRPC: a server of TensorFlow Serving's stubs over the exported model, and the client."""

import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from helpers import REPOSITORY, run_python
from photo_files import every_form, saved
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from flpn_tf import PoseEstimator, RemoteEstimator
from flpn_tf.errors import InputError, RemoteError
from flpn_tf.runtime.images import decode_image

SERVER = Path(__file__).parent / "prediction_server.py"


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "batching"])
def server(request, exported):
    """(address, whether it batches) of a running server."""
    options = ["--batching"] if request.param else []
    process = subprocess.Popen(
        [sys.executable, SERVER, exported, *options], stdout=subprocess.PIPE, text=True
    )
    yield f"127.0.0.1:{int(process.stdout.readline())}", request.param
    process.send_signal(signal.SIGINT)
    process.wait(20)


@pytest.fixture(scope="module")
def remote(server):
    with RemoteEstimator(f"grpc://{server[0]}/dots", deadline=60) as estimator:
        yield estimator


@pytest.fixture(scope="module")
def estimator(network):
    return PoseEstimator(network)


def same(found, expected):
    """Within what a grey level of the crops moves a point."""
    return np.abs(found.keypoints - expected.keypoints).max() < 0.1


@pytest.mark.parametrize("count", [1, 16])
def test_the_estimators_pose(remote, estimator, crowd, count):
    pixels, boxes = crowd
    for content in every_form(pixels).values():
        assert same(
            remote.estimate(content, boxes[:count]),
            estimator.estimate(decode_image(content, "photo"), boxes[:count]),
        )


def test_without_a_box(remote, estimator, crowd):
    assert same(remote.estimate(crowd[0]), estimator.estimate(crowd[0]))


def test_a_version_may_be_named(server, crowd):
    address, _ = server
    pixels, boxes = crowd
    assert len(RemoteEstimator(f"grpc://{address}/dots/1").estimate(pixels, boxes)) == 16
    with pytest.raises(RemoteError, match="NOT_FOUND: Servable not found for request"):
        RemoteEstimator(f"grpc://{address}/dots/2").estimate(pixels, boxes)
    with pytest.raises(RemoteError, match="NOT_FOUND"):
        RemoteEstimator(f"grpc://{address}/cats").estimate(pixels, boxes)


def test_a_photo_sent_once(server, estimator, crowd):
    """Where the server batches it refuses that, in one line."""
    address, batching = server
    once = RemoteEstimator(f"grpc://{address}/dots", send_once=True)
    if batching:
        with pytest.raises(RemoteError, match="INVALID_ARGUMENT: Batching session .* equal 0th-dimension"):
            once.estimate(*crowd)
    else:
        assert same(once.estimate(*crowd), estimator.estimate(*crowd))


def test_no_request_is_larger_than_the_servers_batches(server, remote, estimator, crowd):
    """Unless `batch` says so, and then a server that batches refuses it, in one line."""
    address, batching = server
    pixels, boxes = crowd[0], crowd[1] * 3
    expected = estimator.estimate(pixels, boxes)
    assert same(remote.estimate(pixels, boxes), expected)
    larger = RemoteEstimator(f"grpc://{address}/dots", batch=64)
    if batching:
        with pytest.raises(RemoteError, match="Task size 48 is larger than maximum input batch size 32"):
            larger.estimate(pixels, boxes)
    else:
        assert same(larger.estimate(pixels, boxes), expected)


def request(signature="serve_jpeg", **inputs):
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name, asked.model_spec.signature_name = "dots", signature
    for name, value in inputs.items():
        asked.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return asked


BOX = np.float32([[10, 10, 50, 60]])
GOOD = saved(np.full((90, 120, 3), 200, np.uint8))
REFUSED = {
    "wrong type of box": {"image_bytes": [GOOD], "boxes": BOX.astype(np.float64)},
    "boxes as text": {"image_bytes": [GOOD], "boxes": [["1", "2", "3", "4"]]},
    "photo as numbers": {"image_bytes": np.zeros((1, 20), np.uint8), "boxes": BOX},
    "three numbers": {"image_bytes": [GOOD], "boxes": BOX[:, :3]},
    "no boxes": {"image_bytes": [GOOD]},
    "a photo without a box": {"image_bytes": [GOOD], "boxes": BOX[:0]},
    "empty batch": {"image_bytes": tf.constant([], tf.string).numpy(), "boxes": BOX[:0]},
    "no crops": {"signature": "serving_default", "image": np.zeros((0, 64, 48, 3), np.uint8)},
    "crops of another size": {"signature": "serving_default", "image": np.zeros((1, 8, 8, 3), np.uint8)},
    "crops of floats": {"signature": "serving_default", "image": np.zeros((1, 64, 48, 3), np.float32)},
}
EMPTY = ("empty batch", "no crops")
ANSWERED = {
    "no photo": (b"not an image", BOX, "cannot be decoded"),
    "cut photo": (GOOD[: len(GOOD) // 2], BOX, "cannot be decoded"),
    "huge photo": (
        saved(np.zeros((9, 9, 3), np.uint8), "PNG")[:16] + (2**15).to_bytes(4) * 2 + b"\x08\x02" + bytes(40),
        BOX,
        "at most 64 megapixels",
    ),
    "NaN box": (GOOD, BOX * np.float32(np.nan), "must be four finite numbers"),
    "far box": (GOOD, BOX + np.float32(5000), "must touch the 120x90 image"),
}


def test_bad_requests_harm_no_other(server, estimator, crowd):
    """Each is refused or answered with its error while good ones go on, and the next good one is right."""
    address, batching = server
    pixels, boxes = crowd
    content = saved(pixels, "PNG")
    expected = estimator.estimate(pixels, boxes[:2])
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(address))

    def bad(name):
        if name in ANSWERED:
            photo, box, message = ANSWERED[name]
            answer = stub.Predict(request(image_bytes=[photo], boxes=box), timeout=60)
            return message in tf.make_ndarray(answer.outputs["error"])[0].decode()
        try:
            answer = stub.Predict(request(**REFUSED[name]), timeout=60)
        except grpc.RpcError as error:
            return error.code() == grpc.StatusCode.INVALID_ARGUMENT
        # In one batch with others nothing is asked for, and nothing is what it gets.
        return batching and name in EMPTY and len(tf.make_ndarray(answer.outputs["keypoints"])) == 0

    def good(_):
        with RemoteEstimator(f"grpc://{address}/dots", deadline=60) as remote:
            return same(remote.estimate(content, boxes[:2]), expected)

    names = [*REFUSED, *ANSWERED]
    with ThreadPoolExecutor(8) as threads:
        jobs = [(name, threads.submit(task, name)) for name in names for task in (bad, good)]
        assert all(job.result() for _, job in jobs), [name for name, job in jobs if not job.result()]
    assert good(None)


def test_the_servers_word_is_an_input_error(remote):
    with pytest.raises(InputError, match="the image: box 0: the server says: image_bytes cannot be decoded"):
        remote.estimate(GOOD[: len(GOOD) // 2], BOX)


def test_the_lines_of_the_docs(server, estimator, crowd, tmp_path):
    """The docs' own gRPC client, of this model on this port."""
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/serving.md").read_text(), re.DOTALL)
    (code,) = [block for block in blocks if "import grpc" in block]
    code = code.replace("localhost:8500", server[0]).replace('"flpn"', '"dots"')
    (tmp_path / "photo.jpg").write_bytes(saved(crowd[0], "PNG"))
    printed = run_python(code.replace("[[40, 20, 110, 260]]", "[[20, 10, 70, 100]]"), tmp_path)
    assert printed.strip().endswith("b''")
    numbers = np.array(re.findall(r"[-\d.e+]+", printed.rsplit("b''", 1)[0]), float).reshape(-1, 3)
    expected = estimator.estimate(crowd[0], [[20, 10, 70, 100]]).keypoints[0]
    np.testing.assert_allclose(numbers, expected, atol=0.1)


def test_no_server():
    with pytest.raises(RemoteError, match="no answer within 2 s. Last: grpc://127.0.0.1:9/dots: UNAVAILABLE"):
        RemoteEstimator("grpc://127.0.0.1:9/dots", deadline=2).estimate(GOOD, BOX)
