"""RemoteEstimator by gRPC, against a service that answers by a script."""

import contextlib
import socket
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from photo_files import saved
from scripted_server import BOXES, middle_of
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from flpn_tf import RemoteEstimator
from flpn_tf.errors import InputError, RemoteError


class Scripted(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers with what `script` gives for a request's number: a code, or outputs; right ones for None."""

    def __init__(self, script):
        self.script, self.asked = script, []

    def Predict(self, request, context):  # noqa: N802, the service's name
        self.asked.append(request)
        outputs = self.script(len(self.asked) - 1)
        if isinstance(outputs, grpc.StatusCode):
            context.abort(outputs, "not\nnow")
        if outputs is None:
            points = middle_of(tf.make_ndarray(request.inputs["boxes"]))
            outputs = good(points.astype(np.float32))
        return predict_pb2.PredictResponse(outputs=outputs)


def good(points) -> dict:
    return {"keypoints": tf.make_tensor_proto(points), "error": tf.make_tensor_proto([""] * len(points))}


@pytest.fixture
def service():
    """A function script → (URL, service)."""
    with contextlib.ExitStack() as stack:

        def start(script):
            server = grpc.server(
                futures.ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", 2**20)]
            )
            scripted = Scripted(script)
            prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(scripted, server)
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            stack.callback(server.stop, None)
            return f"grpc://127.0.0.1:{port}/flpn", scripted

        yield start


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "DEADLINE_EXCEEDED"])
def test_a_busy_server_is_asked_again(service, pixels, code):
    url, scripted = service(lambda number: getattr(grpc.StatusCode, code) if number < 2 else None)
    with RemoteEstimator(url + "/3", batch=2) as estimator:
        poses = estimator.estimate(saved(pixels), BOXES)
    np.testing.assert_allclose(poses.keypoints[1:, 0], [[40, 40, 0.9], [20, 20, 0.9]])
    assert [len(asked.inputs["image_bytes"].string_val) for asked in scripted.asked] == [2, 2, 2, 1]
    assert {asked.model_spec.version.value for asked in scripted.asked} == {3}


def cut(points, outputs):
    outputs["keypoints"].tensor_content = outputs["keypoints"].tensor_content[:-4]


def of_numbers(points, outputs):
    outputs["error"] = tf.make_tensor_proto(np.zeros(len(points), np.int32))


def endless(points, outputs):
    outputs["keypoints"] = tf.make_tensor_proto(0.5, shape=(1,))
    outputs["keypoints"].tensor_shape.dim[0].size = 2**60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, outputs: outputs.pop("error"), r"Received: outputs \['keypoints'\]"),
        (lambda _, outputs: outputs.clear(), r"Received: outputs \[\]"),
        (cut, "Received: keypoints: "),
        (of_numbers, "Received: an error that is no text"),
        (endless, "Received: keypoints: "),
        (lambda _, outputs: outputs.update(keypoints=outputs["error"]), "Received: could not convert"),
    ],
    ids=["one output", "none", "cut", "numbers", "endless", "words"],
)
def test_answers_of_no_use_are_not_asked_for_again(service, pixels, change, message):
    def script(_):
        points = np.zeros((3, 17, 3), np.float32)
        outputs = good(points)
        change(points, outputs)
        return outputs

    url, scripted = service(script)
    with pytest.raises(RemoteError, match=f"{url}: does not answer as a model of .*{message}"):
        RemoteEstimator(url).estimate(saved(pixels), BOXES)
    assert len(scripted.asked) == 1


def test_refusals_are_final(service, pixels):
    url, scripted = service(lambda _: grpc.StatusCode.INVALID_ARGUMENT)
    with pytest.raises(RemoteError, match=f"^{url}: INVALID_ARGUMENT: not now$"):
        RemoteEstimator(url).estimate(saved(pixels), BOXES)
    assert len(scripted.asked) == 1
    with pytest.raises(RemoteError, match=f"^{url}: RESOURCE_EXHAUSTED: .*larger than max"):
        RemoteEstimator(url).estimate(saved(pixels) + bytes(2**20), BOXES)


@pytest.mark.parametrize(("scheme", "first"), [("grpc", b"PRI "), ("grpcs", b"\x16\x03")])
def test_grpcs_is_tls(pixels, scheme, first):
    with socket.create_server(("127.0.0.1", 0)) as listener, futures.ThreadPoolExecutor(1) as thread:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/flpn"
        with RemoteEstimator(url, deadline=60) as estimator:
            asked = thread.submit(estimator.estimate, saved(pixels), BOXES)
            connection = listener.accept()[0]
            assert connection.recv(len(first)) == first
        connection.close()
        with pytest.raises((RemoteError, InputError)):  # what was on its way ends with the connections
            asked.result(60)
