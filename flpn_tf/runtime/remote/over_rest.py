"""TensorFlow Serving's REST protocol: json over HTTP."""

import base64
import json
import re
import threading
import time
from concurrent.futures import Future

import numpy as np

from flpn_tf.errors import InputError, RemoteError
from flpn_tf.runtime.remote.protocol import SIGNATURE
from flpn_tf.runtime.remote.transport import LONGEST_ANSWER, Answer, Unavailable, checked_answer, unlike

# Too many requests, and what proxies say of servers that are starting, gone or slow.
_LATER = (429, 502, 503, 504)
_CONNECTIONS = 32  # for threads that ask at once; more wait for one
_CHUNK = 1 << 16  # bytes
_SHOWN = 300  # characters of a server's message


class RestTransport:
    """Asks `URL:predict`.

    Args:
        url: ``http[s]://HOST[:PORT]/v1/models/NAME[/versions/N]``.
        user: ``USER:PASSWORD`` for basic authentication, or None.

    Raises:
        InputError: urllib3 is not installed, or cannot read the URL.
    """

    def __init__(self, url: str, user: str | None = None):
        try:
            import urllib3
        except ModuleNotFoundError as error:
            raise InputError(
                f"REST needs {error.name}; install it with: pip install 'flpn-tf[remote]'"
            ) from error
        self._url = url
        self._failures = urllib3.exceptions.HTTPError
        self._headers = {"Content-Type": "application/json"}
        if user:
            self._headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        try:
            self._target = f"{urllib3.util.parse_url(url).path}:predict"
            self._pool = urllib3.connection_from_url(url, maxsize=_CONNECTIONS, block=True)
        except urllib3.exceptions.LocationValueError as error:
            raise InputError(f"{url} names no server: {error}") from error

    def encoded(self, photo: bytes) -> bytes:
        """See `Transport`."""
        return b'{"b64":"%b"}' % base64.b64encode(photo)

    def request(self, photos: list[bytes], boxes: np.ndarray) -> bytes:
        """See `Transport`."""
        numbers = json.dumps(boxes.tolist()).encode()
        start = f'{{"signature_name":"{SIGNATURE}","inputs":{{"boxes":'.encode()
        return b"".join([start, numbers, b',"image_bytes":[', b",".join(photos), b"]}}"])

    def predict(self, request: bytes, count: int, timeout: float) -> Answer:
        """See `Transport`."""
        # A socket's timeout starts anew with each byte, and looking up a name has none.
        answer: Future = Future()
        threading.Thread(target=self._post_into, args=(answer, request, timeout), daemon=True).start()
        try:
            status, content = answer.result(timeout)
        except TimeoutError as error:
            raise Unavailable(f"{self._url}: timed out") from error
        except self._failures as error:
            raise Unavailable(f"{self._url}: {_in_words(error)}") from error
        if status != 200:
            kind = Unavailable if status in _LATER else RemoteError
            raise kind(f"{self._url}: HTTP {status}: {_message(content)}")
        try:
            outputs = json.loads(content)["outputs"]
            keypoints, errors = outputs["keypoints"], [_unwrapped(error) for error in outputs["error"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise unlike(self._url, repr(content[:_SHOWN])) from error
        return checked_answer(keypoints, errors, count, self._url)

    def close(self) -> None:
        """See `Transport`."""
        self._pool.close()

    def _post_into(self, answer: Future, request: bytes, timeout: float) -> None:
        try:
            answer.set_result(self._post(request, timeout))
        except BaseException as error:  # for the thread that waits
            answer.set_exception(error)

    def _post(self, request: bytes, timeout: float) -> tuple[int, bytes]:
        give_up = time.monotonic() + timeout
        answer = self._pool.urlopen(
            "POST",
            self._target,
            request,
            self._headers,
            retries=False,
            redirect=False,
            timeout=timeout,
            pool_timeout=timeout,
            preload_content=False,
        )
        content = bytearray()
        try:
            while part := answer.read1(_CHUNK):
                content += part
                if len(content) > LONGEST_ANSWER:
                    raise unlike(self._url, f"more than {LONGEST_ANSWER} bytes")
                if time.monotonic() > give_up:
                    raise TimeoutError
            return answer.status, bytes(content)
        finally:  # without effect on a connection whose answer was read to its end
            answer.close()
            answer.release_conn()


def _unwrapped(error):
    # TensorFlow Serving writes strings whose output's name ends in `_bytes` as base64, others as they are.
    return base64.b64decode(error["b64"], validate=True) if isinstance(error, dict) else error


def _message(content: bytes) -> str:
    """What the server says about a status, on one line."""
    try:
        said = str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        said = content[:_SHOWN].decode(errors="replace")
    return " ".join(said.split())[:_SHOWN]


def _in_words(error: Exception) -> str:
    """urllib3's error without the object that it starts with."""
    error = getattr(error, "reason", None) or error
    return re.sub(r"^(<.*?>|\w+\(host=.*?\)): ", "", " ".join(map(str, error.args)))
