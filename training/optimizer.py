"""The optimiser of a config."""

import re

import keras
from keras import ops

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.training.config import ScheduleConfig
from flpn_tf.training.learning_rate import make_learning_rate


def make_optimizer(config: ScheduleConfig, steps_per_epoch: int, model=None) -> keras.optimizers.Optimizer:
    """Adam, or AdamW on the model's kernels, under the config's learning-rate schedule."""
    rate = make_learning_rate(config, steps_per_epoch)
    options = {"clip_norm": config.clip_norm}
    if config.ema is not None:
        options |= {"use_ema": True, "ema_momentum": config.ema}
    if config.optimizer == "muon":
        decay = config.weight_decay or None
        return _without_decay_of_others(
            Muon(rate, weight_decay=decay, adam_weight_decay=decay, **options), model
        )
    if not config.weight_decay:
        return Adam(rate, **options)
    return _without_decay_of_others(AdamW(rate, weight_decay=config.weight_decay, **options), model)


def _without_decay_of_others(optimizer, model):
    """The optimiser; weight decay is of kernels alone."""
    if optimizer.weight_decay:
        others = [v for v in model.trainable_variables if "kernel" not in v.name]
        optimizer.exclude_from_weight_decay(var_list=others)
    return optimizer


class _Clipping:
    """Mixin: `clip_norm` bounds the norm of all gradients together, whatever the number of replicas.

    Keras's `global_clipnorm` clips each replica's share before the shares are summed. Here the norm is that
    of the sum, and one factor scales every share.
    """

    def __init__(self, *args, clip_norm=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.clip_norm = clip_norm

    def apply(self, grads, trainable_variables=None):
        if self.clip_norm is not None:
            total = _sum_over_replicas(grads)
            norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in total))
            factor = self.clip_norm / ops.maximum(norm, self.clip_norm)
            grads = [gradient * factor for gradient in grads]
        return super().apply(grads, trainable_variables)

    def get_config(self):
        return super().get_config() | {"clip_norm": self.clip_norm}


def _sum_over_replicas(gradients):
    if keras.backend.backend() != "tensorflow":
        return gradients
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return gradients
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)


@keras.saving.register_keras_serializable(package=PACKAGE)
class Adam(_Clipping, keras.optimizers.Adam):
    """Keras's Adam with `clip_norm`."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class AdamW(_Clipping, keras.optimizers.AdamW):
    """Keras's AdamW with `clip_norm`."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class Muon(_Clipping, keras.optimizers.Muon):
    """Muon for the kernels of dense 1×1 convolutions, Adam for everything else, with `clip_norm`.

    A step of a (1, 1, C, filters) kernel is its momentum with all singular values brought near 1 (Jordan et
    al. 2024), times 0.2 · √max(C, filters), so that Adam's learning rate serves both (Liu et al. 2025, "Muon
    is scalable for LLM training"). Kernels of the context blocks and of the last layer stay Adam's: their
    rows or columns are few.
    """

    # Of variables' paths.
    _ADAM = re.compile(r"context/|heatmaps/")

    def _should_use_adamw(self, variable):
        dense = len(variable.shape) == 4 and tuple(variable.shape[:2]) == (1, 1)
        return not dense or self._ADAM.search(variable.path) is not None

    def zeropower_via_newtonschulz5(self, x, steps):
        return ops.reshape(super().zeropower_via_newtonschulz5(x[0, 0], steps), x.shape)

    def lr_adjust(self, x):
        return x * (max(x.shape[-2:]) ** 0.5 * self.rms_rate)
