"""Where the page looks for a person in the next frame, under node, beside Python's tracker."""

import numpy as np
import page_modules
from page_modules import boxes, call, call_one, points

from flpn_tf.runtime import estimator, tracking
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD

pytestmark = page_modules.NEEDS_NODE


def test_next_boxes_are_those_of_the_tracker():
    """From any box, with and without a pose before; some poses too few joints, some with none in common."""
    rng = np.random.default_rng(6)
    places, scores = rng.uniform(-100, 300, (2, 240, 17, 2)), rng.uniform(0, 0.6, (2, 240, 17, 1))
    poses, before = np.concatenate([places, scores], axis=-1)
    before[40:, :, :2] = poses[40:, :, :2] + rng.normal(0, 15, (200, 17, 2))
    poses[:10, 1:, 2] = KEYPOINT_THRESHOLD
    before[10:30, :, 2] = 0.1
    looked = boxes(rng, 240)
    looked[120:, :2] = poses[120:, :, :2].min(axis=1) - rng.uniform(0, 80, (120, 2))
    looked[120:, 2:] = np.ptp(poses[120:, :, :2], axis=1) + rng.uniform(0, 160, (120, 2))
    befores = [None if i % 5 == 0 else each for i, each in enumerate(before)]
    cases = list(zip(poses, befores, looked, strict=True))
    found = call(
        [
            ["tracking", "nextBox", points(pose), None if past is None else points(past), box.tolist()]
            for pose, past, box in cases
        ]
    )
    expected = np.array([tracking.next_box(*case) for case in cases])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)
    around = [estimator.box_around(pose) for pose in poses]
    kept = [box is None or not np.allclose(box, next) for box, next in zip(around, expected, strict=True)]
    assert 60 < sum(kept) < 240  # both what the joints say and what the last box says


# A person upright, 110 × 300 pixels: head, shoulders, hips, knees, feet.
DOTS = [
    [200, 60],
    [160, 110],
    [240, 110],
    [170, 220],
    [230, 220],
    [165, 290],
    [235, 290],
    [160, 360],
    [240, 360],
]
LEGS, FEET = [5, 6, 7, 8], [7, 8]


def follow_dots(hidden):
    """`follow` at 25 frames/s; `hidden` says for each frame which joints cannot be seen."""
    spec = {
        "input": {"height": 192, "width": 160, "dtype": "float32"},
        "crop": {"padding": 1.25},
        "output": {"height": 48, "width": 40, "scale": 1, "zero_point": 0},
        "decode": {"rule": "argmax", "stride": 4, "sigma": 2},
        "skeleton": {"names": [str(joint) for joint in range(len(DOTS))]},
    }
    frames = [
        {"size": [400, 480], "joints": DOTS, "hidden": each, "time": 10 + i / 25}
        for i, each in enumerate(hidden)
    ]
    return call_one("estimator", "PoseEstimator", spec, frames)


def test_a_joint_that_is_missed_once_is_found_again():
    answers = follow_dots([[], [], [], LEGS, [], []])
    assert all(answer["found"] for answer in answers)
    assert [len(answer["seen"]) for answer in answers] == [9, 9, 9, 5, 9, 9]
    for joint, x, y in answers[-1]["seen"]:
        assert np.hypot(x - DOTS[joint][0], y - DOTS[joint][1]) < 12


def test_a_larger_look_finds_what_the_box_left_out():
    """After 30 frames without feet the box ends at the knees; within a second there is a look around it."""
    answers = follow_dots([[]] + [FEET] * 30 + [[]] * 28)
    seen = [len(answer["seen"]) for answer in answers]
    assert seen[31:50] == [7] * 19  # the box alone does not show them any more
    assert seen[51:] == [9] * 8
    # Found in the whole frame, then closer; later each frame is one run, each second's search one more.
    assert [i for i, answer in enumerate(answers) if answer["runs"] > 1] == [0, 25, 50]


def test_a_lost_person_is_looked_for_in_the_whole_frame():
    everything = list(range(len(DOTS)))
    answers = follow_dots([[], [], everything, []])
    assert [answer["found"] for answer in answers] == [True, True, False, True]
    assert answers[3]["runs"] == 2
