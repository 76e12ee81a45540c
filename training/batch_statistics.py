"""Batch norm's statistics for averaged weights."""

from collections.abc import Callable, Iterable
from itertools import islice

import keras

from flpn_tf.training.config import ScheduleConfig

# Batches whose mean they become; an epoch where it has fewer.
STEPS = 32


def settler(schedule: ScheduleConfig, people: int, batches: Callable) -> Callable[[keras.Model], None]:
    """`settle` for a run's networks; it does nothing where their statistics are of their own weights.

    Args:
        schedule: of the run.
        people: or images, of the run.
        batches: as of `session.Job`.
    """

    def settle_average(network: keras.Model) -> None:
        kept = schedule.freeze_batch_norm or getattr(network, "qat", False)
        if schedule.ema is not None and not kept and _norms(network):
            settle(network, batches(0, whole=True), people // schedule.batch_size)

    return settle_average


def settle(network: keras.Model, batches: Iterable, steps: int) -> None:
    """Sets every batch norm's mean and variance to their means over batches, with the weights as they are.

    Keras averages the trainable weights alone. The statistics stay those of the weights of the last steps,
    which at a high learning rate are so far from the average that it finds hardly a joint with them
    (Izmailov et al. 2018, "Averaging weights leads to wider optima", section 3.2).

    Args:
        network: on one device, not compiled; its momenta are left as they were.
        batches: tuples whose first is the network's input.
        steps: of an epoch.
    """
    norms = _norms(network)
    before = [norm.momentum for norm in norms]
    try:
        for count, (inputs, *_) in enumerate(islice(batches, min(STEPS, steps))):
            for norm in norms:
                norm.momentum = count / (count + 1)
            network(inputs, training=True)
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


def _norms(model: keras.Model) -> list:
    layers = model._flatten_layers(include_self=False, recursive=True)
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
