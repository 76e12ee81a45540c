"""Videos of one person for the Java tracker: what is to be seen in each, and what it has to make of them.

A joint is found exactly where it lies in the crop, and scores what the video says, else 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flpn_tf.runtime.tracking import MEMORY, SEARCH_INTERVAL

FPS = 30
HEIGHT, WIDTH = 480, 640
# Head, shoulders and hips close together; one foot and one hand (the last joint) far from them.
SHAPE = np.array([[0, -40], [-12, -25], [12, -25], [-10, 20], [10, 20], [0, 55], [75, -30]], float)
_SEARCH = round(SEARCH_INTERVAL * FPS)


@dataclass
class Frame:
    """The tracker's answer: `there` and `following`, how many joints it was shown, where it looked."""

    there: bool
    following: bool
    found: int
    looked: np.ndarray

    def sees(self, point) -> bool:
        """Whether the crop (padding 1.25) surely holds the point: the box as it is, enlarged."""
        x, y, w, h = self.looked
        return bool((np.abs(point - [x + w / 2, y + h / 2]) <= 1.25 * np.array([w, h]) / 2).all())


@dataclass
class Video:
    """``(F, 7, 3)`` joints, and a check of the F answers. Begins in `box` where there is one."""

    joints: np.ndarray
    check: Callable[[list[Frame]], None]
    box: list[float] | None = None

    def question(self, spec: str) -> list:
        frames = np.hstack([np.arange(len(self.joints))[:, None] / FPS, self.joints.reshape(-1, 21)])
        start = [0] if self.box is None else [1, self.box]
        return [spec, HEIGHT, WIDTH, *start, len(frames), frames]


def _person(frames: int, x=300.0, y=200.0, score=0.5) -> np.ndarray:
    """(F, 7, 3); each of x, y, score one number or one a frame."""
    joints = np.zeros((frames, 7, 3))
    joints[..., :2] = SHAPE
    for axis, value in enumerate((x, y, score)):
        joints[..., axis] += np.broadcast_to(value, frames)[:, None]
    return joints


def _around(points) -> list[float]:
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return [*low, *(high - low)]


def _walks() -> Video:
    steps = np.arange(70)
    joints = _person(70, x=250 + 2 * steps, y=200 + 10 * np.sin(steps / 5))

    def check(frames):
        whole, closer, *rest = frames
        np.testing.assert_allclose(whole.looked, [0, 0, WIDTH, HEIGHT])
        assert not (whole.there or whole.following)
        assert closer.looked[2:].max() < 200
        assert closer.there
        assert all(frame.following and frame.found == 7 for frame in rest)
        # Nothing but a search interrupts; it is of the same box, 1.6 times as large.
        searches = [number for number, frame in enumerate(frames) if number and not frame.there]
        assert searches == [1 + _SEARCH, 1 + 2 * _SEARCH]
        for number in searches:
            np.testing.assert_allclose(frames[number].looked[2:], 1.6 * frames[number + 1].looked[2:])

    return Video(joints, check)


def _joint_missed_once() -> Video:
    joints = _person(12)
    joints[6, 6, 2] = 0.0

    def check(frames):
        others = Frame(True, True, 6, np.array(_around(joints[6, :6])))
        assert not others.sees(joints[7, 6, :2])
        assert [frame.found for frame in frames[2:]] == [7, 7, 7, 7, 6, 7, 7, 7, 7, 7]
        assert all(frame.there for frame in frames[1:])

    return Video(joints, check)


def _collapsed() -> Video:
    """Hand and foot are hidden until the box has left them."""
    hidden = 25
    joints = _person(45)
    joints[:hidden, 5:, 2] = 0.0

    def check(frames):
        at = 1 + _SEARCH
        for frame in frames[hidden:at]:
            assert frame.there
            assert frame.found == 5
            assert not frame.sees(joints[hidden, 6, :2])
        # A larger box shows more of the person, so it is believed, and again in the frames behind it.
        assert frames[at].found > 5
        assert all(frame.there and frame.found > 5 for frame in frames[at:])
        assert frames[-1].looked[2:].max() > 1.3 * frames[at - 1].looked[2:].max()

    return Video(joints, check)


def _search_shows_less() -> Video:
    """Joints score less from the frame of the search on: the box stays, and the person."""
    joints = _person(36)
    joints[1 + _SEARCH :, :, 2] = 0.4

    def check(frames):
        assert [frame.there for frame in frames[30:34]] == [True, False, True, True]
        np.testing.assert_allclose(frames[32].looked, frames[30].looked, atol=1e-9)

    return Video(joints, check)


def _jumps() -> Video:
    joints = _person(30, x=np.where(np.arange(30) < 15, 150.0, 450.0))

    def check(frames):
        assert all(frame.there for frame in frames[1:15])
        assert not frames[15].following
        assert all(frame.there for frame in frames[18:])

    return Video(joints, check)


def _hidden(seconds: float, score: float, back: bool) -> Video:
    """Comes back less clearly seen: enough for somebody known, or for anybody."""
    away = round(seconds * FPS)
    joints = _person(20 + away, score=np.repeat([0.5, 0.0, score], [10, away, 10]))

    def check(frames):
        assert frames[9].there
        assert not any(frame.there or frame.following for frame in frames[10:-10])
        assert [frame.following for frame in frames[-7:]] == [back] * 7
        assert any(frame.there for frame in frames[-7:]) == back

    return Video(joints, check)


def _walks_out() -> Video:
    joints = _person(60, x=500.0 + 12 * np.arange(60))

    def check(frames):
        assert frames[8].there
        assert not any(frame.there or frame.following for frame in frames[-10:])
        np.testing.assert_allclose(frames[-1].looked, [0, 0, WIDTH, HEIGHT])

    return Video(joints, check)


def _nobody() -> Video:
    def check(frames):
        for frame in frames:
            assert not (frame.there or frame.following)
            np.testing.assert_allclose(frame.looked, [0, 0, WIDTH, HEIGHT])

    return Video(_person(5, score=0.0), check)


def _given_box() -> Video:
    joints = _person(5)
    box = _around(joints[0])

    def check(frames):
        np.testing.assert_allclose(frames[0].looked, box)
        assert all(frame.there for frame in frames)

    return Video(joints, check, box)


VIDEOS = {
    "walks": _walks(),
    "a joint missed once": _joint_missed_once(),
    "a collapsed box": _collapsed(),
    "a search that shows less": _search_shows_less(),
    "jumps": _jumps(),
    "hidden for a moment, faint": _hidden(0.5 * MEMORY, 0.23, True),
    "hidden for long, faint": _hidden(2 * MEMORY, 0.23, False),
    "hidden for long, clear": _hidden(2 * MEMORY, 0.26, True),
    "walks out": _walks_out(),
    "nobody": _nobody(),
    "a given box": _given_box(),
}
