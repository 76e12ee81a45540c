"""`flpn pose VIDEO`, as a user runs it."""

import json
import resource
import signal
import subprocess
import sys

import cv2
import helpers
import moving_dots
import numpy as np
import pytest

from flpn_tf.runtime import pose_settings
from flpn_tf.runtime.detectors import Detections
from flpn_tf.runtime.video.reader import Frame, VideoReader
from flpn_tf.runtime.video.writer import VideoWriter

HEIGHT, WIDTH, FRAMES, RATE = 128, 96, 24, 24.0


def people(number: int) -> np.ndarray:
    return moving_dots.person(40 + number * 0.5, 60 + number)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "walk.avi"
    with VideoWriter(path, RATE) as writer:
        for number in range(FRAMES):
            picture = moving_dots.frame(HEIGHT, WIDTH, [people(number)])
            writer.write(lambda picture=picture: picture, number / RATE)
    return path


@pytest.fixture
def flpn(monkeypatch, dots_tflite, tmp_path):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: helpers.exit_code(
        monkeypatch, "pose", "--model", dots_tflite, *map(str, arguments)
    )


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines_and_the_video(flpn, video, tmp_path, capfd):
    assert flpn(video, "--out", "out.mp4", "--json", "out.jsonl") == 0
    lines = records((tmp_path / "out.jsonl").read_text())
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    np.testing.assert_allclose([line["time"] for line in lines], np.arange(FRAMES) / RATE, atol=1e-3)
    assert {(line["video"], line["width"], line["height"], line["model"]) for line in lines} == {
        (str(video), WIDTH, HEIGHT, "dots")
    }
    for number, line in enumerate(lines):
        (person,) = line["people"]
        assert person["id"] == 1
        points = [[joint["x"], joint["y"]] for joint in person["keypoints"]]
        assert np.abs(points - people(number)).max() < 3
    with VideoReader(tmp_path / "out.mp4") as reader:
        frames = list(reader)
    assert len(frames) == FRAMES
    # White: the number; the dots are red, green and blue.
    assert (frames[5].image.min(axis=2) > 150).any()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.mp4"]
    captured = capfd.readouterr()
    assert captured.out == ""
    *_, progress, end = captured.err.splitlines()
    assert progress.startswith(f"{FRAMES}/{FRAMES} frames, ")
    assert end == f"flpn: {FRAMES} frames, somebody in {FRAMES}, kept in out.mp4 and out.jsonl"


def test_json_on_standard_output_is_the_default(flpn, video, capsys):
    assert flpn(video) == 0
    assert len(records(capsys.readouterr().out)) == FRAMES


def test_smoothing_can_be_left_out(flpn, video, capsys):
    def places(*options):
        assert flpn(video, *options) == 0
        lines = records(capsys.readouterr().out)
        return np.array([[joint["x"] for joint in line["people"][0]["keypoints"]] for line in lines])

    smooth, plain = places(), places("--no-smooth")
    assert np.abs(smooth - plain).max() > 0.1
    truth = np.array([people(number)[:, 0] for number in range(FRAMES)])
    assert np.abs(plain - truth).max() < 2


def test_a_given_box(flpn, video, tmp_path, capsys):
    (tmp_path / "boxes.json").write_text(json.dumps([moving_dots.box(people(0))]))
    assert flpn(video, "--boxes", "boxes.json") == 0
    assert all(len(line["people"]) == 1 for line in records(capsys.readouterr().out))


def test_seconds(flpn, video, capsys):
    assert flpn(video, "--seconds", 0.5) == 0
    captured = capsys.readouterr()
    assert len(records(captured.out)) == 12


def test_a_detector(flpn, video, monkeypatch, tmp_path, capsys):
    asked = []

    def detect(image):
        asked.append(image)
        return Detections(np.array([moving_dots.box(people(0))]), np.ones(1))

    (tmp_path / "d.tflite").write_bytes(b"")
    monkeypatch.setattr(pose_settings, "open_detector", lambda *_, **__: detect)
    assert flpn(video, "--detector", "d.tflite") == 0
    assert [line["people"][0]["id"] for line in records(capsys.readouterr().out)] == [1] * FRAMES
    assert len(asked) == 1


def cut(video, path):
    content = video.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_a_damaged_video_keeps_what_could_be_read(flpn, video, tmp_path, capfd):
    cut(video, tmp_path / "cut.avi")
    assert flpn("cut.avi", "--out", "out.mp4", "--json", "out.jsonl") == 2
    lines = records((tmp_path / "out.jsonl").read_text())
    assert 5 < len(lines) < FRAMES
    message = (
        f"cut.avi: {len(lines)} of about {FRAMES} frames can be read, the rest is damaged. They are kept in"
    )
    (last,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("flpn: error")]
    assert message in last
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert len(list(reader)) == len(lines)


@pytest.mark.parametrize("limit", [3_000, 6_000])
def test_a_full_disk_keeps_whole_lines(video, dots_tflite, tmp_path, limit):
    command = [sys.executable, "-m", "flpn_tf", "pose", str(video), "--model", str(dots_tflite)]
    ran = subprocess.run(
        [*command, "--json", str(tmp_path / "out.jsonl")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert 0 < len(records((tmp_path / "out.jsonl").read_text())) < FRAMES


def test_a_process_that_is_terminated_keeps_what_it_has(dots_tflite, tmp_path):
    picture = moving_dots.frame(HEIGHT, WIDTH, [people(0)])
    with VideoWriter(tmp_path / "long.avi", RATE) as writer:
        for number in range(2000):
            writer.write(lambda: picture, number / RATE)
    command = [sys.executable, "-m", "flpn_tf", "pose", "long.avi", "--model", str(dots_tflite)]
    process = subprocess.Popen(
        [*command, "--out", "out.avi", "--json", "-"], cwd=tmp_path, stdout=subprocess.PIPE
    )
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130
    with VideoReader(tmp_path / "out.avi") as reader:
        assert 18 <= len(list(reader)) < 2000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.avi", "out.avi"]


class Source:
    """In place of a `VideoReader`: what a test wants of one."""

    name, rate, count, is_camera, every = "camera 0", RATE, None, True, 1

    def __init__(self, frames: int, then=None):
        self.frames, self.then = frames, then

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __iter__(self):
        for number in range(self.frames):
            yield Frame(
                number, self.every * number / RATE, moving_dots.frame(HEIGHT, WIDTH, [people(number)])
            )
        if self.then is not None:
            raise self.then


@pytest.fixture
def source(monkeypatch):
    def set_source(frames, then=None, **facts):
        one = Source(frames, then)
        vars(one).update(facts)
        monkeypatch.setattr("flpn_tf.runtime.video.command.VideoReader", lambda _: one)

    return set_source


def test_a_camera_that_is_unplugged(flpn, source, tmp_path, capfd):
    source(6)
    assert flpn("0", "--out", "out.mp4", "--json", "out.jsonl") == 2
    error = capfd.readouterr().err
    assert (
        "camera 0: gives no more frames, was it unplugged? The 6 frames before are kept in out.mp4 and"
        in error
    )
    assert len(records((tmp_path / "out.jsonl").read_text())) == 6
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert len(list(reader)) == 6


def test_a_slow_camera_with_seconds(flpn, source, tmp_path, capfd):
    """A rate of 24 is what it says; the network lets through 8 frames a second."""
    source(9, every=3)
    assert flpn("0", "--seconds", 0.6, "--json", "-") == 0
    captured = capfd.readouterr()
    assert len(records(captured.out)) == 5
    assert "unplugged" not in captured.err


def test_fewer_frames_than_the_length_says_are_no_damage(flpn, source, capfd):
    """Of uneven times, or with sound that is longer."""
    source(6, name="uneven.mkv", is_camera=False, count=60)
    assert flpn("uneven.mkv", "--json", "-") == 0
    captured = capfd.readouterr()
    assert len(records(captured.out)) == 6
    assert "uneven.mkv: 6 of about 60 frames can be read; the decoder finds nothing wrong" in captured.err


def test_a_matroska_file_cut_short(flpn, tmp_path, capfd):
    with VideoWriter(tmp_path / "whole.mkv", RATE) as writer:
        for number in range(60):
            picture = moving_dots.frame(HEIGHT, WIDTH, [people(number % 24)])
            writer.write(lambda picture=picture: picture, number / RATE)
    cut(tmp_path / "whole.mkv", tmp_path / "cut.mkv")
    assert flpn("whole.mkv", "--json", "-") == 0
    assert flpn("cut.mkv", "--json", "-") == 2
    assert "the rest is damaged" in capfd.readouterr().err


def test_ctrl_c_before_the_first_frame(flpn, source, tmp_path, capfd):
    source(0, KeyboardInterrupt())
    assert flpn("0", "--out", "out.mp4") == 0
    assert "stopped after 0 frames, nothing is written" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_a_camera(flpn, source, tmp_path, capfd):
    source(6, KeyboardInterrupt())
    assert flpn("0", "--out", "out.mp4") == 0
    assert "stopped after 6 frames, kept in out.mp4" in capfd.readouterr().err


def test_ctrl_c_interrupts_a_file(flpn, source, tmp_path, capfd):
    source(6, KeyboardInterrupt(), name="long.mp4", is_camera=False, count=100)
    assert flpn("long.mp4", "--out", "out.mp4", "--json", "out.jsonl") == 130
    assert "stopped after 6 frames, kept in out.mp4 and out.jsonl" in capfd.readouterr().err
    assert len(records((tmp_path / "out.jsonl").read_text())) == 6
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert len(list(reader)) == 6


@pytest.mark.parametrize("is_camera", [True, False])
def test_no_frame(flpn, source, tmp_path, capfd, is_camera):
    source(0, is_camera=is_camera, name="it")
    assert flpn("0", "--out", "out.mp4", "--json", "out.jsonl") == 2
    assert "it: no frame of it can be read; nothing is written" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["none.mp4"], "none.mp4: there is no such file"),
        (["text.mp4"], "text.mp4: cannot be opened as a video"),
        (["text.mp4", "photo.jpg"], "a video is taken alone. Received: text.mp4 photo.jpg"),
        (["walk.avi", "--out", "out.png"], "must end in .mp4"),
        (["walk.avi", "--out", "walk.avi"], "would overwrite walk.avi"),
        (["walk.avi", "--out", "a.mp4", "--json", "a.mp4"], "would overwrite a.mp4"),
        (["walk.avi", "--seconds", "0"], "--seconds is a number above 0. Received: 0.0"),
        (["walk.avi", "--seconds", "inf"], "--seconds is a number above 0. Received: inf"),
        (["99999999999999"], "99999999999999"),
        (["tiny.avi"], "tiny.avi: frame 0: an image needs at least 8x8 pixels"),
        (["walk.avi", "--boxes", "boxes.json"], "the first frame: box 0 must touch the 96x128 image"),
        (["photo.jpg", "--seconds", "1"], "--seconds and --no-smooth are for a video"),
        (["photo.jpg", "--no-smooth"], "--seconds and --no-smooth are for a video"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flpn, video, tmp_path, capfd, arguments, message):
    (tmp_path / "text.mp4").write_text("text")
    (tmp_path / "boxes.json").write_text("[[500, 500, 10, 10]]")
    (tmp_path / "walk.avi").symlink_to(video)
    encoder = cv2.VideoWriter(str(tmp_path / "tiny.avi"), cv2.VideoWriter_fourcc(*"MJPG"), RATE, (2, 2))
    encoder.write(np.zeros((2, 2, 3), np.uint8))
    encoder.release()
    before = sorted(tmp_path.iterdir())
    assert flpn(*arguments) == 2
    error = capfd.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
