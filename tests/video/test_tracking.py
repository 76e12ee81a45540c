"""PoseTracker: the same people from frame to frame."""

from types import SimpleNamespace

import moving_dots
import numpy as np
import pytest

from flpn_tf.errors import InputError
from flpn_tf.runtime.tracking import MEMORY, PoseTracker

FPS = 30
HEIGHT, WIDTH = 128, 96  # the whole frame is one crop of the model, where the dots are just found
WIDE = 240, 320


class Detector:
    """Knows where people are, to a few pixels."""

    def __init__(self):
        self.people, self.calls = [], 0
        self._rng = np.random.default_rng(0)

    def __call__(self, image):
        self.calls += 1
        boxes = np.reshape([moving_dots.box(points) for points in self.people], (-1, 4))
        return SimpleNamespace(
            boxes=boxes + self._rng.uniform(-3, 3, boxes.shape), scores=np.full(len(boxes), 0.9)
        )


def show(tracker, frame_number: int, people, size=(HEIGHT, WIDTH)):
    return tracker.update(moving_dots.frame(*size, people), frame_number / FPS)


def watch(tracker, detector, frames, size=WIDE) -> list:
    """What the tracker says of frames, each a list of people, which the detector knows of."""
    found = []
    for number, people in enumerate(frames):
        detector.people = people
        found.append(show(tracker, number, people, size))
    return found


def errors(tracked, people) -> np.ndarray:
    return np.abs(tracked.poses.keypoints[..., :2] - people).max(axis=(1, 2))


def test_one_person_without_a_detector(estimator):
    tracker = PoseTracker(estimator, smooth=False)
    for number in range(90):
        angle = 2 * np.pi * number / 45
        points = moving_dots.person(48 + 20 * np.sin(angle), 64 + 25 * np.cos(angle))
        tracked = show(tracker, number, [points])
        assert tracked.ids.tolist() == [1]
        assert errors(tracked, [points]) < 1.5  # a heatmap's cell is 3 to 4 pixels here


def test_smoothing_is_the_default_and_keeps_up(estimator):
    smooth, plain = PoseTracker(estimator), PoseTracker(estimator, smooth=False)
    lag = []
    for number in range(60):
        points = moving_dots.person(20 + number, 64)
        image = moving_dots.frame(HEIGHT, WIDTH, [points])
        first, second = (tracker.update(image, number / FPS) for tracker in (smooth, plain))
        if len(first) and len(second):
            lag.append((second.poses.keypoints - first.poses.keypoints)[0, :, 0].mean())
    assert len(lag) > 55
    assert 0.01 < np.mean(lag[10:]) < 1.0  # of one pixel a frame


def test_two_people_who_pass_each_other_keep_their_numbers(estimator):
    detector = Detector()
    tracker = PoseTracker(estimator, detector, smooth=False)
    frames = [[moving_dots.person(40 + 2 * i, 60), moving_dots.person(280 - 2 * i, 150)] for i in range(121)]
    found = watch(tracker, detector, frames)
    first = {number: place for place, number in enumerate(found[0].ids)}
    order = [int(np.argmin(errors(found[0], [points] * 2))) for points in frames[0]]
    ids = [found[0].ids[place] for place in order]
    assert sorted(first) == [1, 2]
    for tracked, people in zip(found, frames, strict=True):
        pose_of = dict(zip(tracked.ids.tolist(), tracked.poses.keypoints, strict=True))
        assert sorted(pose_of) == [1, 2]
        for number, points in zip(ids, people, strict=True):
            assert np.abs(pose_of[int(number)][:, :2] - points).max() < 2
    assert 4 <= detector.calls <= 6  # 4 seconds


@pytest.mark.parametrize("hidden, ids", [(0.5 * MEMORY, [1, 2]), (2 * MEMORY, [1, 3])])
def test_who_is_hidden_for_a_moment_is_known_again(estimator, hidden, ids):
    detector = Detector()
    tracker = PoseTracker(estimator, detector)
    left, right = moving_dots.person(60, 100), moving_dots.person(220, 100)
    away = round(hidden * FPS)
    frames = [[left, right]] * 10 + [[left]] * away + [[left, right + (6, 0)]] * 40
    found = watch(tracker, detector, frames)
    assert [sorted(f.ids.tolist()) for f in found[:10]] == [[1, 2]] * 10
    there = 1 if np.abs(found[0].poses.keypoints[0, :, :2] - left).max() < 5 else 2
    assert [f.ids.tolist() for f in found[10 : 10 + away]] == [[there]] * away
    back = sorted(found[-1].ids.tolist())
    assert back == ([1, 2] if ids == [1, 2] else sorted([there, 3]))


def test_who_is_hidden_alone_is_known_again(estimator):
    detector = Detector()
    tracker = PoseTracker(estimator, detector)
    points = moving_dots.person(100, 100)
    found = watch(tracker, detector, [[points]] * 5 + [[]] * 10 + [[points]] * 10)
    assert found[-1].ids.tolist() == [1]
    assert len(found[10]) == 0


def test_who_comes_back_elsewhere_is_found_soon(estimator):
    detector = Detector()
    tracker = PoseTracker(estimator, detector)
    left, right = moving_dots.person(60, 100), moving_dots.person(200, 100)
    found = watch(tracker, detector, [[left, right]] * 10 + [[left]] * 6 + [[left, right + (60, 0)]] * 10)
    assert len(found[12]) == 1
    assert len(found[16 + 4]) == 2


def test_a_jump_is_found_again_and_is_the_same_person(estimator):
    tracker = PoseTracker(estimator)
    ids = []
    for number in range(40):
        y = 36 if number < 20 else 96
        ids.append(show(tracker, number, [moving_dots.person(48, y)]).ids.tolist())
    assert ids[:20] == [[1]] * 20
    assert ids[23:] == [[1]] * 17


def test_who_walks_out_is_forgotten_and_who_comes_is_new(estimator):
    detector = Detector()
    tracker = PoseTracker(estimator, detector)
    out = [[moving_dots.person(60 - 4 * i, 100)] for i in range(50)]
    coming = [[moving_dots.person(260, 100)]] * 10
    found = watch(tracker, detector, out + [[]] * 5 + coming)
    assert found[0].ids.tolist() == [1]
    assert len(found[52]) == 0
    assert found[52].poses.keypoints.shape == (0, 3, 3)
    assert found[-1].ids.tolist() == [2]


def test_given_boxes_and_nobody_else(estimator):
    people = [moving_dots.person(60, 100), moving_dots.person(220, 100)]
    tracker = PoseTracker(estimator, boxes=[moving_dots.box(people[1])], smooth=False)
    for number in range(40):
        tracked = show(tracker, number, people, WIDE)
        assert tracked.ids.tolist() == [1]
        assert errors(tracked, people[1]) < 0.5


def test_two_boxes_of_one_person_become_one(estimator):
    points = moving_dots.person(100, 100)
    boxes = np.array([moving_dots.box(points), moving_dots.box(points + 4)])
    tracker = PoseTracker(estimator, boxes=boxes)
    assert [show(tracker, number, [points], WIDE).ids.tolist() for number in range(5)] == [[1]] * 5


@pytest.mark.parametrize("strength, kept", [(0.31, False), (1.0, True)])
def test_whom_the_detector_misses_twice_needs_better_joints(estimator, strength, kept):
    detector = Detector()
    tracker = PoseTracker(estimator, detector, search_interval=0.2)
    points = moving_dots.person(100, 100)
    picture = np.rint(moving_dots.frame(*WIDE, [points]) * strength).astype(np.uint8)
    counts = []
    for number in range(30):
        detector.people = [points] if number == 0 else []
        tracked = tracker.update(picture, number / FPS)
        counts.append(len(tracked))
    assert counts[:6] == [1] * 6
    assert counts[13:] == [int(kept)] * 17


def test_a_box_that_shrank_to_a_part_is_set_right_by_the_detector(estimator):
    detector = Detector()
    points = moving_dots.person(100, 100)
    tracker = PoseTracker(estimator, detector, boxes=[[90, 90, 8, 8]], smooth=False)
    detector.people = [points]
    tracked = [show(tracker, number, [points], WIDE) for number in range(3)][-1]
    assert tracked.ids.tolist() == [1]
    assert errors(tracked, [points]) < 1.5


def test_a_joint_missed_once_is_found_in_the_next_frame(estimator):
    """The crop around the others would not hold it."""
    points = moving_dots.person(48, 64)
    tracker = PoseTracker(estimator, smooth=False, search_interval=1e9)
    show(tracker, 0, [points])
    without = moving_dots.frame(HEIGHT, WIDTH, [points])
    without[..., 2] = 0
    tracked = tracker.update(without, 1 / FPS)
    assert tracked.poses.keypoints[0, 2, 2] < 0.1
    assert errors(show(tracker, 2, [points]), [points]) < 0.5


def test_nobody(estimator):
    tracker = PoseTracker(estimator)
    for number in range(3):
        tracked = show(tracker, number, [])
        assert tracked.people() == []
        assert tracked.ids.dtype == np.int64


def test_people_for_json(estimator):
    (entry,) = show(PoseTracker(estimator), 0, [moving_dots.person(48, 64)]).people()
    assert entry["id"] == 1
    assert [joint["name"] for joint in entry["keypoints"]] == ["left_red", "right_green", "blue"]


@pytest.mark.parametrize("time", [0.5, 0.2, float("nan")])
def test_time_must_grow(estimator, time):
    tracker = PoseTracker(estimator)
    image = moving_dots.frame(HEIGHT, WIDTH, [])
    tracker.update(image, 0.5)
    with pytest.raises(InputError, match="time must grow"):
        tracker.update(image, time)


def test_bad_arguments(estimator):
    with pytest.raises(InputError, match="search_interval.*Received: 0"):
        PoseTracker(estimator, search_interval=0)
    tracker = PoseTracker(estimator, boxes=[[500, 500, 10, 10]])
    with pytest.raises(InputError, match="the first frame: box 0 must touch"):
        show(tracker, 0, [])
