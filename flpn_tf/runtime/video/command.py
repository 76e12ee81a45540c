"""What `flpn pose` does with a video or a camera."""

import contextlib
import errno
import functools
import json
import os
import re
import signal
import tempfile
from pathlib import Path

from flpn_tf.errors import InputError
from flpn_tf.runtime import files
from flpn_tf.runtime.draw import draw_poses
from flpn_tf.runtime.images import check_image
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.runtime.pose_settings import OpenedModels
from flpn_tf.runtime.progress import Progress
from flpn_tf.runtime.signals import answering
from flpn_tf.runtime.tracking import PoseTracker, TrackedPoses
from flpn_tf.runtime.video.reader import Frame, VideoReader
from flpn_tf.runtime.video.writer import VideoWriter

# A container's count is an estimate; fewer by more than this means that the rest cannot be read.
_MISSING = 0.02
_COMPLAINT, _READ = re.compile(rb"^\[[^\]\n]* @ 0x[0-9a-f]+\] ", re.MULTILINE), 1 << 16  # FFmpeg's; bytes


class JsonLines:
    """Json, an object a line: on standard output as it comes, or in a file that appears at the end."""

    def __init__(self, to: str | None):
        self._to, self._partial, self._stream, self._size = to, None, None, 0

    def __enter__(self) -> "JsonLines":
        if self._to not in (None, files.STANDARD_OUTPUT):
            self._partial = files.PartialFile(self._to)
            self._stream = self._partial.path.open("wb", buffering=0)
        return self

    def __exit__(self, *_) -> None:
        if self._partial is not None:
            try:
                self._stream.close()
                if self._size:
                    self._partial.keep()
            finally:
                self._partial.discard()

    def write(self, record: dict) -> None:
        """Writes one line, whole or not at all.

        Raises:
            OSError: the disk is full, the reader of standard output is gone.
        """
        line = json.dumps(record) + "\n"
        if self._to == files.STANDARD_OUTPUT:
            files.write_json(self._to, line)
        elif self._stream is not None:
            content = line.encode()
            if self._stream.write(content) != len(content):
                self._stream.truncate(self._size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._to)
            self._size += len(content)


# A process that is ended, and a terminal that is closed, stop a run as Ctrl-C does.
_ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _interrupt(*_):
    raise KeyboardInterrupt


def run(
    source: str,
    models: OpenedModels,
    boxes,
    out: Path | None,
    json_to: str | None,
    smooth: bool = True,
    seconds: float | None = None,
) -> None:
    """Follows the people in a video and writes json lines, the video with their skeletons, or both.

    What was finished is kept, however it ends: both files hold the frames until then. Redirects file
    descriptor 2 meanwhile, where decoders write.

    Args:
        source: path of a video or number of a camera.
        models: what estimates and finds people.
        boxes: of the people in the first frame, as `PoseTracker` takes them.
        out: the video with skeletons, of one of `CODECS`; None for none.
        json_to: file, `files.STANDARD_OUTPUT`, or None for none. A line a frame: ``{"video", "frame", "time"
            (seconds), "width", "height", "model", "people"}``, as `TrackedPoses.people`.
        smooth: see `PoseTracker`.
        seconds: of the video to look at; None for all. A camera without it runs until Ctrl-C.

    Raises:
        InputError: a bad source or output; a video without frames, or that ends before it should.
    """
    tracker = PoseTracker(models, models.detect, boxes, smooth)
    signals = answering(_ENDINGS, _interrupt)
    with tempfile.TemporaryFile() as noise, discard_native_stderr(noise) as stderr, signals:
        _follow(source, tracker, models.name, out, json_to, seconds, stderr, noise)


def _follow(source: str, tracker: PoseTracker, model: str, out, json_to, seconds, stderr, noise) -> None:
    reader = VideoReader(source)
    done, inhabited, last, ended = 0, 0, 0.0, False
    with contextlib.ExitStack() as stack:
        writer = None if out is None else stack.enter_context(VideoWriter(out, reader.rate))
        lines = stack.enter_context(JsonLines(json_to))
        stack.enter_context(reader)
        progress = Progress("frames", _expected(reader, seconds))
        try:
            for frame in reader:
                if seconds is not None and frame.time >= seconds:
                    ended = True
                    break
                check_image(frame.image, f"{reader.name}: frame {frame.number}")
                people = tracker.update(frame.image, frame.time)
                lines.write(_record(reader.name, frame, model, people))
                if writer is not None:
                    draw = functools.partial(draw_poses, frame.image, people.poses, ids=people.ids)
                    writer.write(draw, frame.time)
                done, inhabited, last = done + 1, inhabited + bool(len(people)), frame.time
                progress.say(done, stderr)
        except KeyboardInterrupt:
            kept = _kept(out, json_to) if done else "nothing is written"
            _say(f"flpn: stopped after {done} frames, {kept}", stderr)
            if not reader.is_camera:
                raise
            return
    kept = _kept(out, json_to)
    if not done:
        raise InputError(f"{reader.name}: no frame of it can be read; nothing is written")
    # The frame that would end it may not be there.
    ended = ended or (seconds is not None and last + 1.5 / reader.rate >= seconds)
    if reader.is_camera and not ended:
        raise InputError(
            f"{reader.name}: gives no more frames, was it unplugged? The {done} frames before are {kept}"
        )
    if not ended and reader.count is not None and done < reader.count * (1 - _MISSING) - 1:
        said = f"{reader.name}: {done} of about {reader.count} frames can be read"
        if _is_damaged(reader, noise):
            raise InputError(f"{said}, the rest is damaged. They are {kept}")
        # Containers without a table count by their length, which sound or uneven times change.
        _say(f"flpn: {said}; the decoder finds nothing wrong", stderr)
    _say(f"flpn: {done} frames, somebody in {inhabited}, {kept}", stderr)


def _say(line: str, stderr) -> None:
    if stderr is not None:
        print(line, file=stderr)


def _is_damaged(reader: VideoReader, noise) -> bool:
    """Whether the decoder complained; an .avi has a table of its frames, which is right."""
    noise.seek(0)
    return reader.name.lower().endswith(".avi") or _COMPLAINT.search(noise.read(_READ)) is not None


def _expected(reader: VideoReader, seconds: float | None) -> int | None:
    if seconds is None:
        return reader.count
    wanted = max(round(seconds * reader.rate), 1)
    return wanted if reader.count is None else min(wanted, reader.count)


def _record(name: str, frame: Frame, model: str, people: TrackedPoses) -> dict:
    height, width = frame.image.shape[:2]
    return {
        "video": name,
        "frame": frame.number,
        "time": round(frame.time, 4),
        "width": width,
        "height": height,
        "model": model,
        "people": people.people(),
    }


def _kept(out, json_to) -> str:
    kept = [str(path) for path in (out, json_to) if path not in (None, files.STANDARD_OUTPUT)]
    return f"kept in {' and '.join(kept)}" if kept else "printed"
