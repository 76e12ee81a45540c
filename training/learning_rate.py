"""The learning rate over the steps of a run."""

import keras
from keras import ops

from flpn_tf.errors import InputError
from flpn_tf.keras_registration import PACKAGE
from flpn_tf.training.config import ScheduleConfig


def make_learning_rate(config: ScheduleConfig, steps_per_epoch: int):
    """A Keras schedule (or a number, where it never changes) that `config` describes.

    Raises:
        InputError: the warm-up is not shorter than the run.
    """
    rate = _one_round(config, steps_per_epoch)
    if config.rounds == 1 or isinstance(rate, float):
        return rate
    return Restarts(rate, config.epochs * steps_per_epoch)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Restarts(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule that begins again every `period` steps (Zhang et al. 2019, LPN, iterative training).

    Args:
        schedule: of one period.
        period: in steps.
    """

    def __init__(self, schedule, period: int):
        self.schedule = schedule
        self.period = period

    def __call__(self, step):
        return self.schedule(ops.mod(ops.cast(step, "int32"), self.period))

    def get_config(self):
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "period": self.period}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["period"])


def _one_round(config: ScheduleConfig, steps_per_epoch: int):
    peak = config.learning_rate
    if config.schedule == "step":
        # Keras gives step s the rate of the first boundary that is not below s.
        boundaries = [epoch * steps_per_epoch - 1 for epoch in config.drops]
        rates = [peak * 0.1**i for i in range(len(boundaries) + 1)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates) if boundaries else peak
    steps, warmup = config.epochs * steps_per_epoch, config.warmup_steps
    if warmup >= steps:
        raise InputError(
            f"schedule.warmup_steps must be below a round's {steps} steps; lower it or raise epochs. "
            f"Received: {warmup}"
        )
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(peak, decay_steps=steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=steps - warmup, warmup_target=peak, warmup_steps=warmup
    )
