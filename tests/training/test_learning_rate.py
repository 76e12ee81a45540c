import math

import keras
import numpy as np
import pytest

from flpn_tf.errors import InputError
from flpn_tf.training.config import ScheduleConfig
from flpn_tf.training.learning_rate import make_learning_rate
from flpn_tf.training.optimizer import make_optimizer

STEPS = 10  # an epoch


def rates(config, count):
    """What the optimiser uses in steps 0, 1, …"""
    optimizer = make_optimizer(config, STEPS)
    values = []
    for step in range(count):
        optimizer.iterations.assign(step)
        values.append(float(optimizer.learning_rate))
    return np.array(values)


def test_step_schedule_drops_with_the_first_step_of_the_epoch():
    found = rates(ScheduleConfig(epochs=6, learning_rate=0.5, drops=(2, 4)), 60)
    np.testing.assert_allclose(found, [0.5] * 20 + [0.05] * 20 + [0.005] * 20, rtol=1e-6)


def test_step_schedule_without_drops_is_constant():
    np.testing.assert_allclose(rates(ScheduleConfig(learning_rate=0.5, drops=()), 30), 0.5)


def test_cosine_falls_to_0_at_the_end():
    found = rates(ScheduleConfig(epochs=6, learning_rate=0.5, schedule="cosine"), 61)
    np.testing.assert_allclose(found, [0.25 * (1 + math.cos(math.pi * s / 60)) for s in range(61)], atol=1e-7)
    assert found[0] == 0.5
    assert found[60] == pytest.approx(0, abs=1e-7)


def test_warm_up_rises_in_a_line_to_the_peak():
    config = ScheduleConfig(epochs=6, learning_rate=0.5, schedule="cosine", warmup_steps=20)
    found = rates(config, 61)
    np.testing.assert_allclose(found[:21], np.linspace(0, 0.5, 21), atol=1e-7)
    decay = [0.25 * (1 + math.cos(math.pi * s / 40)) for s in range(41)]
    np.testing.assert_allclose(found[20:], decay, atol=1e-7)


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_rounds_restart_the_rate(schedule):
    settings = {"epochs": 3, "learning_rate": 0.5, "schedule": schedule, "drops": (1, 2)}
    once = rates(ScheduleConfig(**settings), 3 * STEPS)
    found = rates(ScheduleConfig(**settings, rounds=3), 9 * STEPS)
    np.testing.assert_allclose(found, np.tile(once, 3), atol=1e-7)
    assert found[3 * STEPS] == 0.5


def test_restarts_are_saved_with_a_model():
    rate = make_learning_rate(ScheduleConfig(epochs=3, schedule="cosine", rounds=2), STEPS)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rate))
    assert [float(again(step)) for step in (0, 7, 31)] == [float(rate(step)) for step in (0, 7, 31)]


@pytest.mark.parametrize("warmup", [60, 100])
def test_a_warm_up_as_long_as_the_run_is_refused(warmup):
    config = ScheduleConfig(epochs=6, schedule="cosine", warmup_steps=warmup)
    with pytest.raises(InputError, match=f"below a round's 60 steps; .* Received: {warmup}"):
        make_learning_rate(config, STEPS)


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_the_optimiser_is_adam_with_the_moving_average_asked_for(schedule):
    plain = make_optimizer(ScheduleConfig(schedule=schedule), STEPS)
    assert isinstance(plain, keras.optimizers.Adam)
    assert not plain.use_ema
    averaged = make_optimizer(ScheduleConfig(schedule=schedule, ema=0.75), STEPS)
    assert (averaged.use_ema, averaged.ema_momentum) == (True, 0.75)
