"""Frames in and out of files, and of a camera that a test plays."""

import threading

import cv2
import numpy as np
import pytest

from flpn_tf.errors import InputError
from flpn_tf.runtime.video import reader as reader_module
from flpn_tf.runtime.video.reader import VideoReader, is_video
from flpn_tf.runtime.video.writer import CODECS, VideoWriter

SIZE = 64, 96  # height, width


def grey(level: int) -> np.ndarray:
    picture = np.full((*SIZE, 3), level, np.uint8)
    picture[..., 0] //= 2  # so that exchanged channels show
    return picture


def write(path, levels, times, rate=25.0):
    with VideoWriter(path, rate) as writer:
        for level, at in zip(levels, times, strict=True):
            writer.write(lambda level=level: grey(level), at)
    return writer


def read(path):
    with VideoReader(path) as reader:
        return list(reader)


def levels_of(frames) -> list[int]:
    return [round(float(frame.image[..., 1].mean())) for frame in frames]


@pytest.mark.parametrize("suffix", CODECS)
def test_what_is_written_is_read(tmp_path, suffix):
    path = tmp_path / f"video{suffix}"
    levels = list(range(20, 220, 10))
    assert write(path, levels, np.arange(20) / 25).frames == 20
    frames = read(path)
    assert [frame.number for frame in frames] == list(range(20))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(20) / 25, atol=1e-3)
    np.testing.assert_allclose(levels_of(frames), levels, atol=6)
    last = frames[-1].image
    assert (last.shape, last.dtype) == ((*SIZE, 3), np.uint8)
    assert abs(last[..., 0].mean() - 105) < 8
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_uneven_times_keep_their_pace(tmp_path):
    """At 10 frames a second: one shown for 0.3 s, two within one frame, one late."""
    times = [0.0, 0.3, 0.41, 0.44, 0.5, 1.0]
    write(tmp_path / "v.avi", [20, 60, 100, 140, 180, 220], times, rate=10.0)
    shown = levels_of(read(tmp_path / "v.avi"))
    expected = [20, 20, 20, 60, 140, 180, 180, 180, 180, 180, 220]
    np.testing.assert_allclose(shown, expected, atol=6)


def test_a_long_gap_is_cut(tmp_path):
    assert write(tmp_path / "v.avi", [20, 60, 100], [0.0, 3600.0, 3600.1], rate=10.0).frames == 102


def test_a_frame_that_is_not_shown_is_not_drawn(tmp_path):
    drawn = []

    def draw(level):
        drawn.append(level)
        return grey(level)

    with VideoWriter(tmp_path / "v.avi", 10.0) as writer:
        for level, at in ((20, 0.0), (60, 0.1), (100, 0.11), (140, 0.2)):
            writer.write(lambda level=level: draw(level), at)
    assert drawn == [20, 100, 140]


def test_what_was_written_before_an_interruption_is_playable(tmp_path):
    path = tmp_path / "v.mp4"
    with pytest.raises(KeyboardInterrupt), VideoWriter(path, 25.0) as writer:
        for number in range(12):
            writer.write(lambda: grey(80), number / 25)
        raise KeyboardInterrupt
    assert len(read(path)) == 12


def test_nothing_written_leaves_nothing(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 25.0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_fails_in_the_thread_is_raised_and_the_rest_kept(tmp_path):
    def fail():
        raise ValueError("no such picture")

    with pytest.raises(ValueError, match="no such picture"), VideoWriter(tmp_path / "v.avi", 25.0) as writer:
        for number in range(100):
            writer.write(fail if number == 10 else lambda: grey(80), number / 25)
    assert len(read(tmp_path / "v.avi")) == 10


def test_the_only_frame_fails(tmp_path):
    def fail():
        raise ValueError("no such picture")

    with pytest.raises(ValueError, match="no such picture"), VideoWriter(tmp_path / "v.avi", 25.0) as writer:
        writer.write(fail, 0.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("rate", [1.0, 23.976, 119.943, 120.053, 239.9])
def test_odd_rates(tmp_path, suffix, rate):
    assert write(tmp_path / f"v{suffix}", [80] * 5, np.arange(5) / rate, rate).frames == 5
    assert len(read(tmp_path / f"v{suffix}")) == 5


def test_a_name_with_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("2026-11-23T10:00:00.avi", [80] * 5, np.arange(5) / 25)
    assert len(read("2026-11-23T10:00:00.avi")) == 5


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    """OpenCV says nothing of it."""

    class Encoder:
        isOpened = lambda self: True  # noqa: E731, N815
        write = release = lambda self, *_: None

    monkeypatch.setattr(cv2, "VideoWriter", lambda *_: Encoder())
    monkeypatch.setattr(cv2, "VideoWriter_fourcc", lambda *_: 0, raising=False)
    with pytest.raises(InputError, match=r"v\.mp4: only 0 of 3 frames could be written; is the disk full"):
        write(tmp_path / "v.mp4", [1, 2, 3], [0, 0.04, 0.08])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["v.txt", "v", "missing/v.mp4"])
def test_where_no_video_can_be_written(tmp_path, name):
    with pytest.raises(InputError, match="output"):
        VideoWriter(tmp_path / name, 25.0)


@pytest.mark.parametrize("content", [b"", b"text", b"\0\0\0\x18ftypmp42" + bytes(100)])
def test_what_is_no_video(tmp_path, content):
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"v\.mp4: cannot be opened as a video; is it a whole video file"):
        VideoReader(path)


def test_no_such_source(tmp_path):
    with pytest.raises(InputError, match=r"none\.mp4: there is no such file"):
        VideoReader(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="camera 97: cannot be opened; is there one"):
        VideoReader("97")


def test_a_damaged_file_ends_early(tmp_path):
    path = tmp_path / "v.avi"
    write(path, [80] * 50, np.arange(50) / 25)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert 0 < len(read(path)) < 50


def test_leaving_early_stops_the_decoder(tmp_path):
    write(tmp_path / "v.avi", [80] * 50, np.arange(50) / 25)
    with VideoReader(tmp_path / "v.avi") as reader:
        next(iter(reader))
    assert "video reader" not in [thread.name for thread in threading.enumerate()]


class Capture:
    """A camera that breaks after `frames`."""

    def __init__(self, frames: int, fails=None):
        self.left, self.fails, self.count, self.broken = frames, fails, 0, threading.Event()

    def isOpened(self):  # noqa: N802
        return True

    def get(self, _):
        return 0.0

    def read(self):
        if self.count == self.left:
            self.broken.set()
            if self.fails:
                raise self.fails
            return False, None
        self.count += 1
        return True, grey(self.count)[..., ::-1]

    def release(self):
        pass


def test_a_camera_gives_its_newest_frame(monkeypatch):
    camera = Capture(60)
    monkeypatch.setattr(reader_module.cv2, "VideoCapture", lambda _: camera)
    with VideoReader("0") as reader:
        assert (reader.is_camera, reader.count, reader.rate, reader.name) == (True, None, 30.0, "camera 0")
        frames = iter(reader)
        first = next(frames)
        assert camera.broken.wait(60)
        rest = list(frames)
    assert [frame.number for frame in rest] == ([] if first.number == 59 else [59])
    for frame in (first, *rest):
        assert levels_of([frame]) == [frame.number + 1]
    assert all(frame.time >= first.time for frame in rest)


def test_what_fails_in_the_decoder_is_raised(monkeypatch):
    monkeypatch.setattr(reader_module.cv2, "VideoCapture", lambda _: Capture(2, MemoryError("no room")))
    with pytest.raises(MemoryError, match="no room"), VideoReader("0") as reader:
        list(reader)


def test_times_that_stand_still_go_on_at_the_rate(monkeypatch, tmp_path):
    (tmp_path / "v.mp4").write_bytes(b"")
    monkeypatch.setattr(reader_module.cv2, "VideoCapture", lambda _: Capture(4))
    np.testing.assert_allclose([f.time for f in read(tmp_path / "v.mp4")], np.arange(4) / 30)


def test_what_counts_as_video(tmp_path, monkeypatch):
    assert all(map(is_video, ["0", "12", "a.mp4", "b.MOV", "dir/c.webm"]))
    assert not any(map(is_video, ["a.jpg", "folder", "a.png", "-1", "1.5", "²"]))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").mkdir()
    assert not is_video("0")
