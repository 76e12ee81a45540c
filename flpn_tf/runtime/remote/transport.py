"""What both protocols have in common."""

from typing import NamedTuple, Protocol

import numpy as np

from flpn_tf.errors import RemoteError

SIGNATURE = "serve_jpeg"


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

    def predict(self, photos: list[bytes], boxes: np.ndarray, timeout: float) -> Answer:
        """Asks the signature `serve_jpeg` once.

        Args:
            photos: the content of B JPEG or PNG files, or of one for all boxes.
            boxes: ``(B, 4)`` float32.
            timeout: seconds.

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
        errors = [error.decode() if isinstance(error, bytes) else str(error) for error in errors]
    except (TypeError, ValueError) as error:
        raise RemoteError(f"{url}: does not answer as a model of `flpn export` does ({error})") from error
    shape = keypoints.shape
    if len(shape) != 3 or shape[0] != count or shape[2] != 3 or len(errors) != count:
        raise RemoteError(
            f"{url}: does not answer as a model of `flpn export` does. "
            f"Received: keypoints of shape {shape} and {len(errors)} errors for {count} boxes"
        )
    if not np.isfinite(keypoints).all():
        raise RemoteError(f"{url}: answers with keypoints that are not finite")
    return Answer(keypoints, errors)
