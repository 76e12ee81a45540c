"""What `flpn pose` does with a video or a camera."""

import contextlib
import json
import sys
from pathlib import Path

from flpn_tf.errors import InputError
from flpn_tf.runtime import files
from flpn_tf.runtime.draw import draw_poses
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.runtime.pose_settings import OpenedModels
from flpn_tf.runtime.progress import Progress
from flpn_tf.runtime.tracking import PoseTracker, TrackedPoses
from flpn_tf.runtime.video.reader import Frame, VideoReader
from flpn_tf.runtime.video.writer import VideoWriter

# A container's count is an estimate; fewer by more than this means that the rest cannot be read.
_MISSING = 0.02


class JsonLines:
    """Json, an object a line: on standard output as it comes, or in a file that appears at the end."""

    def __init__(self, to: str | None):
        self._to, self._partial, self._stream, self._lines = to, None, None, 0

    def __enter__(self) -> "JsonLines":
        if self._to == files.STANDARD_OUTPUT:
            self._stream = sys.stdout
        elif self._to is not None:
            self._partial = files.PartialFile(self._to)
            self._stream = self._partial.path.open("w", encoding="utf-8")
        return self

    def __exit__(self, *_) -> None:
        if self._partial is not None:
            try:
                self._stream.close()
                if self._lines:
                    self._partial.keep()
            finally:
                self._partial.discard()

    def write(self, record: dict) -> None:
        """Writes one line."""
        if self._stream is not None:
            self._stream.write(json.dumps(record) + "\n")
            self._lines += 1
            if self._partial is None:
                self._stream.flush()


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
    if seconds is not None and not seconds > 0:
        raise InputError(f"--seconds is a number above 0. Received: {seconds}")
    tracker = PoseTracker(models, models.detect, boxes, smooth)
    with discard_native_stderr() as stderr:
        _follow(source, tracker, models.name, out, json_to, seconds, stderr)


def _follow(source: str, tracker: PoseTracker, model: str, out, json_to, seconds, stderr) -> None:
    reader = VideoReader(source)
    done, inhabited, last = 0, 0, 0.0
    with contextlib.ExitStack() as stack:
        writer = None if out is None else stack.enter_context(VideoWriter(out, reader.rate))
        lines = stack.enter_context(JsonLines(json_to))
        stack.enter_context(reader)
        progress = Progress("frames", _expected(reader, seconds))
        try:
            for frame in reader:
                if seconds is not None and frame.time >= seconds:
                    break
                people = tracker.update(frame.image, frame.time)
                lines.write(_record(reader.name, frame, model, people))
                if writer is not None:
                    writer.write(_drawing(frame, people), frame.time)
                done, inhabited, last = done + 1, inhabited + bool(len(people)), frame.time
                progress.say(done, stderr)
        except KeyboardInterrupt:
            if done and stderr is not None:
                print(f"flpn: stopped after {done} frames, {_kept(out, json_to)}", file=stderr)
            if not reader.is_camera:
                raise
            return
    _check_end(reader, done, last, seconds, _kept(out, json_to))
    if stderr is not None:
        print(f"flpn: {done} frames, somebody in {inhabited}, {_kept(out, json_to)}", file=stderr)


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


def _drawing(frame: Frame, people: TrackedPoses):
    return lambda: draw_poses(frame.image, people.poses, ids=people.ids)


def _kept(out, json_to) -> str:
    kept = [str(path) for path in (out, json_to) if path not in (None, files.STANDARD_OUTPUT)]
    return f"kept in {' and '.join(kept)}" if kept else "printed"


def _check_end(reader: VideoReader, done: int, last: float, seconds: float | None, kept: str) -> None:
    if not done:
        raise InputError(f"{reader.name}: no frame of it can be read; nothing is written")
    if seconds is not None and last + 1.5 / reader.rate >= seconds:
        return
    if reader.is_camera:
        raise InputError(
            f"{reader.name}: gives no more frames, was it unplugged? The {done} frames before are {kept}"
        )
    if reader.count is not None and done < reader.count * (1 - _MISSING) - 1:
        raise InputError(
            f"{reader.name}: damaged: {done} of about {reader.count} frames can be read. They are {kept}"
        )
