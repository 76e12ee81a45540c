"""The one-euro filter, beside the one that its authors publish (PyPI: OneEuroFilter)."""

import numpy as np
import pytest
from OneEuroFilter import OneEuroFilter as Published

from flpn_tf.errors import InputError
from flpn_tf.runtime.smoothing import OneEuroFilter, PoseSmoother

FPS = 30
WALKING = 1.4 / 1.7  # body heights a second


def filtered(signals, times, **parameters) -> np.ndarray:
    smooth = OneEuroFilter(**parameters)
    return np.array([smooth(values, time) for values, time in zip(signals, times, strict=True)])


@pytest.mark.parametrize("min_cutoff, beta, d_cutoff", [(1.0, 0.0, 1.0), (0.5, 7.0, 1.0), (2.0, 0.3, 0.7)])
@pytest.mark.parametrize("even", [True, False])
def test_as_published(min_cutoff, beta, d_cutoff, even):
    rng = np.random.default_rng(3)
    steps = np.full(400, 1 / FPS) if even else rng.uniform(0.005, 0.2, 400)
    times = 1 + np.cumsum(steps)
    signals = np.sin(times[:, None] * [1, 5]) * [1, 30] + rng.normal(0, 0.2, (400, 2))
    published = [Published(FPS, min_cutoff, beta, d_cutoff) for _ in range(2)]
    expected = [
        [one(value, time) for one, value in zip(published, values, strict=True)]
        for values, time in zip(signals.tolist(), times.tolist(), strict=True)
    ]
    found = filtered(signals, times, min_cutoff=min_cutoff, beta=beta, d_cutoff=d_cutoff)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(found - signals).max() > 0.1


@pytest.mark.parametrize("noise", [0.002, 0.005, 0.01])
def test_a_person_at_rest_trembles_less(noise):
    """Noise in box sides; the joints' standard deviation falls by 60 % or more."""
    signals = np.random.default_rng(0).normal(0, noise, (600, 34))
    still = filtered(signals, np.arange(600) / FPS)
    assert still[FPS:].std() < 0.4 * signals[FPS:].std()


@pytest.mark.parametrize("noise", [0.0, 0.002, 0.01])
def test_a_walking_person_is_less_than_a_frame_ahead(noise):
    times = np.arange(600) / FPS
    places = WALKING * times[:, None] + np.zeros(34)
    shown = filtered(places + np.random.default_rng(1).normal(0, noise, places.shape), times)
    lag = (places - shown)[FPS:].mean() / (WALKING / FPS)
    assert 0 < lag < 1


def test_a_constant_stays_and_a_nan_starts_anew():
    values = np.array([[5.0, 1.0], [5.0, np.nan], [5.0, 9.0], [5.0, 9.5]])
    found = filtered(values, [0.0, 0.1, 0.2, 0.3])
    np.testing.assert_array_equal(found[:, 0], 5.0)
    assert np.isnan(found[1, 1])
    assert found[2, 1] == 9.0
    assert 9.0 < found[3, 1] < 9.5


@pytest.mark.parametrize("time", [0.5, 0.4, float("nan")])
def test_time_must_grow(time):
    smooth = OneEuroFilter()
    smooth(1.0, 0.5)
    with pytest.raises(InputError, match="time must grow"):
        smooth(1.0, time)


@pytest.mark.parametrize(
    "name, value", [("min_cutoff", 0), ("beta", -1), ("d_cutoff", float("nan")), ("beta", float("inf"))]
)
def test_refusals(name, value):
    with pytest.raises(InputError, match=rf"{name} is a finite number.*Received: {value}"):
        OneEuroFilter(**{name: value})


def test_a_pose_is_smoothed_alike_whatever_the_size_of_the_picture():
    rng = np.random.default_rng(5)
    times = np.arange(40) / FPS
    poses = np.dstack([rng.normal(100, 3, (40, 17, 2)), np.ones((40, 17))])
    box = np.array([50.0, 20.0, 80.0, 160.0])
    small, large = PoseSmoother(), PoseSmoother()
    for pose, time in zip(poses, times, strict=True):
        found = small(pose, time, box)
        larger = large(pose * [4, 4, 1], time, box * 4)
    np.testing.assert_allclose(larger[:, :2], found[:, :2] * 4)
    assert np.abs(found - poses[-1]).max() > 0.5


def test_a_joint_that_is_not_found_passes_as_it_is_and_comes_back_anew():
    poses = np.zeros((3, 2, 3))
    poses[:, 0] = [[10, 10, 0.9], [14, 10, 0.9], [18, 10, 0.9]]
    poses[:, 1] = [[50, 50, 0.9], [90, 90, 0.1], [70, 70, 0.9]]
    smooth = PoseSmoother()
    found = np.array([smooth(pose, i / FPS, [0, 0, 50, 100]) for i, pose in enumerate(poses)])
    np.testing.assert_array_equal(found[:, 1], poses[:, 1])
    np.testing.assert_array_equal(found[..., 2], poses[..., 2])
    assert (found[1:, 0, 0] < poses[1:, 0, 0]).all()
