"""The optimiser of a config."""

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
    if not config.weight_decay:
        return Adam(rate, **options)
    optimizer = AdamW(rate, weight_decay=config.weight_decay, **options)
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
