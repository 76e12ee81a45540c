"""TensorFlow Serving's gRPC protocol, with its own stubs."""

import numpy as np

from flpn_tf.errors import InputError, RemoteError
from flpn_tf.runtime.remote.transport import SIGNATURE, Answer, Unavailable, checked_answer


class GrpcTransport:
    """Asks `PredictionService.Predict`.

    Args:
        url: as messages name it.
        address: HOST:PORT.
        name: the model's.
        version: or None for the server's choice.
        secure: by TLS, with the system's certificates.

    Raises:
        InputError: the stubs are not installed.
    """

    def __init__(self, url: str, address: str, name: str, version: int | None, secure: bool):
        try:
            import grpc
            import tensorflow as tf
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        except ModuleNotFoundError as error:
            raise InputError(
                f"gRPC needs {error.name}; install it with: pip install 'flpn-tf[remote-grpc]'"
            ) from error
        codes = grpc.StatusCode
        self._later = (codes.UNAVAILABLE, codes.RESOURCE_EXHAUSTED, codes.ABORTED, codes.DEADLINE_EXCEEDED)
        self._failure = grpc.RpcError
        self._tf, self._request = tf, predict_pb2.PredictRequest
        self._url, self._name, self._version = url, name, version
        unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        if secure:
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(), unlimited)
        else:
            self._channel = grpc.insecure_channel(address, unlimited)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def predict(self, photos: list[bytes], boxes: np.ndarray, timeout: float) -> Answer:
        """See `Transport`."""
        tensor = self._tf.make_tensor_proto
        request = self._request(inputs={"image_bytes": tensor(photos), "boxes": tensor(boxes)})
        request.model_spec.name, request.model_spec.signature_name = self._name, SIGNATURE
        if self._version is not None:
            request.model_spec.version.value = self._version
        try:
            outputs = self._stub.Predict(request, timeout=timeout).outputs
        except self._failure as error:
            kind = Unavailable if error.code() in self._later else RemoteError
            said = " ".join((error.details() or "").split())
            raise kind(f"{self._url}: {error.code().name}: {said}") from error
        arrays = [self._tf.make_ndarray(outputs[key]) for key in ("keypoints", "error")]
        return checked_answer(*arrays, len(boxes), self._url)

    def close(self) -> None:
        """See `Transport`."""
        self._channel.close()
