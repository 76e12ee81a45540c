"""TensorFlow Serving's gRPC protocol, with its own stubs."""

import numpy as np

from flpn_tf.errors import InputError, RemoteError
from flpn_tf.runtime.remote.protocol import SIGNATURE
from flpn_tf.runtime.remote.transport import LONGEST_ANSWER, Answer, Unavailable, checked_answer, unlike

_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", LONGEST_ANSWER),
    # By default a channel whose server was away tries again after up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5000),
]


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
        if secure:
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(), _OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address, _OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def encoded(self, photo: bytes) -> bytes:
        """See `Transport`."""
        return photo

    def request(self, photos: list[bytes], boxes: np.ndarray):
        """See `Transport`."""
        tensor = self._tf.make_tensor_proto
        request = self._request(inputs={"image_bytes": tensor(photos), "boxes": tensor(boxes)})
        request.model_spec.name, request.model_spec.signature_name = self._name, SIGNATURE
        if self._version is not None:
            request.model_spec.version.value = self._version
        return request

    def predict(self, request, count: int, timeout: float) -> Answer:
        """See `Transport`."""
        try:
            outputs = self._stub.Predict(request, timeout=timeout).outputs
        except self._failure as error:
            said = " ".join((error.details() or "").split())
            # A message over a limit of either side will be over it again.
            again = error.code() in self._later and "larger than max" not in said
            raise (Unavailable if again else RemoteError)(
                f"{self._url}: {error.code().name}: {said}"
            ) from error
        except ValueError as error:  # another thread closed the channel
            raise Unavailable(f"{self._url}: {error}") from error
        return checked_answer(
            *(self._array(outputs, key) for key in ("keypoints", "error")), count, self._url
        )

    def close(self) -> None:
        """See `Transport`."""
        self._channel.close()

    def _array(self, outputs, key: str) -> np.ndarray:
        if key not in outputs:  # else protobuf's map would invent it
            raise unlike(self._url, f"outputs {sorted(outputs)}")
        try:
            return self._tf.make_ndarray(outputs[key])
        except (TypeError, ValueError, MemoryError) as error:
            raise unlike(self._url, f"{key}: {error}") from error
