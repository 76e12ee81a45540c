"""TensorFlow Serving's REST protocol: json over HTTP."""

import base64
import binascii
import json

import numpy as np

from flpn_tf.errors import InputError, RemoteError
from flpn_tf.runtime.remote.transport import SIGNATURE, Answer, Unavailable, checked_answer

# Too many requests, and what proxies say of servers that are starting, gone or slow.
_LATER = (429, 502, 503, 504)
_CONNECTIONS = 16  # kept open for threads that ask at once
_SHOWN = 300  # characters of a server's message


class RestTransport:
    """Asks `URL:predict`.

    Args:
        url: ``http[s]://HOST[:PORT]/v1/models/NAME[/versions/N]``.

    Raises:
        InputError: urllib3 is not installed.
    """

    def __init__(self, url: str):
        try:
            import urllib3
        except ModuleNotFoundError as error:
            raise InputError(
                f"REST needs {error.name}; install it with: pip install 'flpn-tf[remote]'"
            ) from error
        self._url = url
        self._failures = urllib3.exceptions.HTTPError
        self._pool = urllib3.PoolManager(maxsize=_CONNECTIONS, retries=False)

    def predict(self, photos: list[bytes], boxes: np.ndarray, timeout: float) -> Answer:
        """See `Transport`."""
        inputs = {
            "image_bytes": [{"b64": base64.b64encode(photo).decode()} for photo in photos],
            "boxes": boxes.tolist(),
        }
        body = json.dumps({"signature_name": SIGNATURE, "inputs": inputs})
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._pool.request(
                "POST", f"{self._url}:predict", body=body, headers=headers, timeout=timeout
            )
        except self._failures as error:
            raise Unavailable(f"{self._url}: {_in_words(error)}") from error
        if answer.status in _LATER:
            raise Unavailable(f"{self._url}: {_message(answer)}")
        if answer.status != 200:
            raise RemoteError(f"{self._url}: {_message(answer)}")
        try:
            outputs = json.loads(answer.data)["outputs"]
            keypoints, errors = outputs["keypoints"], [_text(error) for error in outputs["error"]]
        except (ValueError, KeyError, TypeError) as error:
            raise RemoteError(
                f"{self._url}: does not answer as a model of `flpn export` does. "
                f"Received: {answer.data[:_SHOWN]!r}"
            ) from error
        return checked_answer(keypoints, errors, len(boxes), self._url)

    def close(self) -> None:
        """See `Transport`."""
        self._pool.clear()


def _text(value) -> str:
    # TensorFlow Serving writes strings whose output's name ends in `_bytes` as base64, others as they are.
    if isinstance(value, dict):
        try:
            return base64.b64decode(value["b64"], validate=True).decode()
        except binascii.Error as error:
            raise ValueError(str(error)) from error
    return str(value)


def _message(answer) -> str:
    """The status and what the server says about it, on one line."""
    try:
        said = json.loads(answer.data)["error"]
    except (ValueError, KeyError, TypeError):
        said = answer.data[:_SHOWN].decode(errors="replace")
    return f"HTTP {answer.status}: {' '.join(str(said).split())[:_SHOWN]}"


def _in_words(error: Exception) -> str:
    return str(error).rsplit("object at ", 1)[-1].split(": ", 1)[-1]
