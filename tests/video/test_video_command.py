"""`flpn pose VIDEO`, as a user runs it."""

import json

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
    message = f"cut.avi: damaged: {len(lines)} of about {FRAMES} frames can be read. They are kept in out.mp4"
    (last,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("flpn: error")]
    assert message in last
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert len(list(reader)) == len(lines)


class Source:
    """In place of a `VideoReader`: what a test wants of one."""

    name, rate, count, is_camera = "camera 0", RATE, None, True

    def __init__(self, frames: int, then=None):
        self.frames, self.then = frames, then

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __iter__(self):
        for number in range(self.frames):
            yield Frame(number, number / RATE, moving_dots.frame(HEIGHT, WIDTH, [people(number)]))
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
        (["walk.avi", "--boxes", "boxes.json"], "the first frame: box 0 must touch the 96x128 image"),
        (["photo.jpg", "--seconds", "1"], "--seconds and --no-smooth are for a video"),
        (["photo.jpg", "--no-smooth"], "--seconds and --no-smooth are for a video"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(flpn, video, tmp_path, capfd, arguments, message):
    (tmp_path / "text.mp4").write_text("text")
    (tmp_path / "boxes.json").write_text("[[500, 500, 10, 10]]")
    (tmp_path / "walk.avi").symlink_to(video)
    before = sorted(tmp_path.iterdir())
    assert flpn(*arguments) == 2
    error = capfd.readouterr().err.strip()
    assert message in error
    assert len(error.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before
