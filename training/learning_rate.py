"""The learning rate over the steps of a run."""

import keras

from flpn_tf.errors import InputError
from flpn_tf.training.config import ScheduleConfig


def make_learning_rate(config: ScheduleConfig, steps_per_epoch: int):
    """A Keras schedule (or a number, where it never changes) that `config` describes.

    Raises:
        InputError: the warm-up is not shorter than the run.
    """
    peak = config.learning_rate
    if config.schedule == "step":
        # Keras gives step s the rate of the first boundary that is not below s.
        boundaries = [epoch * steps_per_epoch - 1 for epoch in config.drops]
        rates = [peak * 0.1**i for i in range(len(boundaries) + 1)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, rates) if boundaries else peak
    steps, warmup = config.epochs * steps_per_epoch, config.warmup_steps
    if warmup >= steps:
        raise InputError(
            f"schedule.warmup_steps must be below the run's {steps} steps; lower it or raise epochs. "
            f"Received: {warmup}"
        )
    if not warmup:
        return keras.optimizers.schedules.CosineDecay(peak, decay_steps=steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=steps - warmup, warmup_target=peak, warmup_steps=warmup
    )
