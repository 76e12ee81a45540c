"""Video → frames, decoded in a thread of its own."""

import contextlib
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flpn_tf.errors import InputError

VIDEO_SUFFIXES = (
    ".mp4",
    ".m4v",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
    ".mpg",
    ".mpeg",
    ".3gp",
    ".wmv",
    ".flv",
    ".ts",
    ".mts",
    ".ogv",
)
_AHEAD = 8  # frames
_USUAL_RATE = 30.0
_RATES = 1.0, 1000.0  # frames a second that a file may claim


def is_video(source) -> bool:
    """Whether ``flpn pose`` takes it for a video: a camera's number, or a file of one of `VIDEO_SUFFIXES`."""
    return _is_camera(source) or Path(source).suffix.lower() in VIDEO_SUFFIXES


def _is_camera(source) -> bool:
    text = str(source)
    return text.isascii() and text.isdigit() and int(text) < 2**31 and not Path(text).exists()


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        number: from 0.
        time: seconds since the first.
        image: ``(H, W, 3)`` uint8 RGB, upright: a phone's rotation tag is applied.
    """

    number: int
    time: float
    image: np.ndarray


class VideoReader:
    """The frames of a file or a camera; a context manager that is iterated over once.

    Of a camera whose frames come faster than they are taken, the newest is given and the others are left.

    Attributes:
        rate: frames a second that it claims, 30 where it claims nothing of use.
        count: of the frames it claims to hold; None of a camera or where it does not say.
        is_camera: it never ends by itself.

    Args:
        source: path of a file, or the number of a camera.

    Raises:
        InputError: no such file or camera, or nothing that can be read as video.
    """

    def __init__(self, source):
        self.source, self.is_camera = str(source), _is_camera(source)
        self.name = f"camera {int(self.source)}" if self.is_camera else self.source
        if not self.is_camera and not Path(self.source).is_file():
            raise InputError(f"{self.name}: there is no such file; give a video, or a camera's number")
        # Absolute, or FFmpeg takes what stands before a colon for a protocol.
        path = str(Path(self.source).absolute())
        self._capture = cv2.VideoCapture(int(self.source) if self.is_camera else path)
        if not self._capture.isOpened():
            self._capture.release()
            if self.is_camera:
                raise InputError(f"{self.name}: cannot be opened; is there one, and may you use it?")
            raise InputError(f"{self.name}: cannot be opened as a video; is it a whole video file?")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if _RATES[0] <= rate <= _RATES[1] else _USUAL_RATE
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = round(count) if not self.is_camera and 0 < count < 1e9 else None
        self._frames: queue.Queue = queue.Queue(1 if self.is_camera else _AHEAD)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._decode, name="video reader", daemon=True)

    def __enter__(self) -> "VideoReader":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stopping.set()
        self._thread.join()
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        while isinstance(frame := self._frames.get(), Frame):
            yield frame
        if frame is not None:
            raise frame

    def _decode(self) -> None:
        try:
            for frame in self._read():
                self._put(frame)
                if self._stopping.is_set():
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001, belongs to the thread that iterates
            self._put(error)

    def _read(self) -> Iterator[Frame]:
        first, last, number = None, -1.0, 0
        while True:
            read, picture = self._capture.read()
            if not read or picture is None:
                return
            now = time.monotonic() if self.is_camera else self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            first = now if first is None else first
            # Some containers keep no times, or the same for two frames.
            at = now - first if now - first > last else last + 1 / self.rate
            yield Frame(number, max(at, 0.0), _rgb(picture))
            last, number = at, number + 1

    def _put(self, item) -> None:
        newest_only = self.is_camera and isinstance(item, Frame)
        while not self._stopping.is_set():
            try:
                self._frames.put(item, timeout=0 if newest_only else 0.1)
                return
            except queue.Full:
                if newest_only:
                    with contextlib.suppress(queue.Empty):
                        self._frames.get_nowait()


def _rgb(picture: np.ndarray) -> np.ndarray:
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
