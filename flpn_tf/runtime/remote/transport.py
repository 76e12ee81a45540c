"""What both protocols have in common."""

from typing import Any, NamedTuple, Protocol

import numpy as np

from flpn_tf.errors import RemoteError

LONGEST_ANSWER = 64 << 20  # bytes; 32 boxes of 17 joints take 40 kB as json


class Unavailable(RemoteError):
    """The server did not answer, or said that it cannot now: the same request may succeed later."""


class Answer(NamedTuple):
    """For B boxes.

    Attributes:
        keypoints: ``(B, K, 3)`` float64 ``(x, y, score)`` in pixels of the upright photo.
        errors: what was wrong with each photo or box, empty where nothing was.
    """

    keypoints: np.ndarray
    errors: list[str]


class Transport(Protocol):
    """A connection to one model, for use by several threads at once."""

    def encoded(self, photo: bytes) -> bytes:
        """The content of a JPEG or PNG file as it stands in a request."""

    def request(self, photos: list[bytes], boxes: np.ndarray) -> Any:
        """What `predict` sends, as often as it takes, to the signature `serve_jpeg`.

        Args:
            photos: B photos, `encoded`, or one for all boxes.
            boxes: ``(B, 4)`` float32.
        """

    def predict(self, request: Any, count: int, timeout: float) -> Answer:
        """Asks once.

        Args:
            request: as `request` gives it.
            count: B, its boxes.
            timeout: seconds, whatever happens.

        Raises:
            Unavailable: asking again may help.
            RemoteError: it will not.
        """

    def close(self) -> None:
        """Ends its connections."""


def checked_answer(keypoints, errors, count: int, url: str) -> Answer:
    """The server's outputs as an `Answer` for `count` boxes.

    Raises:
        RemoteError: they are something else.
    """
    try:
        keypoints = np.asarray(keypoints, np.float64)
        errors = [_text(error) for error in errors]
    except (TypeError, ValueError, OverflowError) as error:
        raise unlike(url, error) from error
    shape = keypoints.shape
    if len(shape) != 3 or shape[0] != count or shape[2] != 3 or len(errors) != count:
        raise unlike(url, f"keypoints of shape {shape} and {len(errors)} errors for {count} boxes")
    if not np.isfinite(keypoints).all():
        raise RemoteError(f"{url}: answers with keypoints that are not finite")
    return Answer(keypoints, errors)


def unlike(url: str, received) -> RemoteError:
    """The error for an answer that no exported model gives."""
    return RemoteError(f"{url}: does not answer as a model of `flpn export` does. Received: {received}")


def _text(error) -> str:
    if isinstance(error, bytes):
        return error.decode()
    if isinstance(error, str):
        return error
    raise TypeError(f"an error that is no text but {type(error).__name__}")
