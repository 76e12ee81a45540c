"""Frames → a video file, encoded in a thread of its own."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.files import PartialFile, check_writable

# MPEG-4, JPEG and VP8: what every build of opencv-python encodes.
CODECS = {".mp4": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
_AHEAD = 8  # frames
_LONGEST_STILL = 10.0  # seconds

Draw = Callable[[], np.ndarray]


class VideoWriter:
    """Writes pictures at a constant rate; a context manager.

    A frame is repeated until the time of the next, and left out where two fall into one of the file, so
    that a video of uneven times keeps its pace. A gap of more than 10 s becomes one of 10 s.

    The file appears when the manager ends, by an exception too, with the frames until then; without any
    there is none.

    Attributes:
        frames: written so far.

    Args:
        path: of the file; its ending is one of `CODECS`.
        rate: frames a second; to two decimals.

    Raises:
        InputError: another ending, or a place that cannot be written; in use, that encoding fails.
    """

    def __init__(self, path: str | Path, rate: float):
        # MPEG-4 counts time in whole parts of a second, at most 65,535.
        self.rate = round(rate, 2)
        self.path, self.frames = check_writable(path, tuple(CODECS)), 0
        self._pictures: queue.Queue = queue.Queue(_AHEAD)
        self._thread = threading.Thread(target=self._run, name="video writer", daemon=True)
        self._failure: BaseException | None = None
        self._encoder: cv2.VideoWriter | None = None

    def __enter__(self) -> "VideoWriter":
        self._partial = PartialFile(self.path)
        self._thread.start()
        return self

    def write(self, draw: Draw, time: float) -> None:
        """Appends a frame.

        Args:
            draw: gives the picture, ``(H, W, 3)`` uint8 RGB, of one size for the whole file; is called in
                the writer's thread, and only for a frame that the file will show.
            time: seconds since the first frame.
        """
        if self._failure is not None:
            raise self._failure
        self._pictures.put((draw, time))

    def __exit__(self, kind, *_) -> None:
        try:
            self._pictures.put(None)
            self._thread.join()
            if self._encoder is not None:
                self._encoder.release()
                self._check()
                self._partial.keep()
        finally:
            self._partial.discard()
        if self._failure is not None and kind is None:
            raise self._failure

    def _run(self) -> None:
        pictures = iter(self._pictures.get, None)
        try:
            self._write_all(pictures)
        except cv2.error as error:
            self._failure = InputError(f"{self.path}: a frame cannot be encoded: {error.err}")
        except BaseException as error:  # noqa: BLE001, belongs to the thread that writes
            self._failure = error
        for _ in pictures:  # so that nobody waits for room; nothing where the end was read
            pass

    def _write_all(self, pictures) -> None:
        shown, late = None, 0
        for draw, time in pictures:
            if shown is not None:
                still = round(time * self.rate) - late - self.frames
                longest = round(_LONGEST_STILL * self.rate)
                late += max(still - longest, 0)
                self._append(shown, min(still, longest))
            shown = draw
        if shown is not None:
            self._append(shown, 1)

    def _append(self, draw: Draw, times: int) -> None:
        if times <= 0:
            return
        picture = cv2.cvtColor(draw(), cv2.COLOR_RGB2BGR)
        if self._encoder is None:
            self._encoder = self._open(picture.shape[1::-1])
        for _ in range(times):
            self._encoder.write(picture)
        self.frames += times

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        codec = cv2.VideoWriter_fourcc(*CODECS[self.path.suffix.lower()])
        encoder = cv2.VideoWriter(str(self._partial.path), codec, self.rate, size)
        if not encoder.isOpened():
            raise InputError(f"{self.path}: cannot encode {size[0]}x{size[1]} frames; try another ending")
        return encoder

    def _check(self) -> None:
        """OpenCV does not tell of a full disk."""
        capture = cv2.VideoCapture(str(self._partial.path))
        held = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
        capture.release()
        if held < self.frames:
            raise InputError(
                f"{self.path}: only {held:.0f} of {self.frames} frames could be written; is the disk full?"
            )
