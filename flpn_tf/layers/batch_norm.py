"""Batch norm that trains fast with TensorFlow on CPU."""

import keras
from keras import ops


class BatchNorm(keras.layers.BatchNormalization):
    """Keras's `BatchNormalization` of (B, H, W, C) over C, in one operation while it trains.

    Keras spells it out in some ten, each a pass over the maps, which take longer than the convolutions around
    them (`make bench-train`). Weights, statistics and results are Keras's; other backends compile the
    spelled-out form into one loop themselves.

    Args:
        momentum, epsilon: as Keras's; its other arguments stay at their defaults.
    """

    def __init__(self, momentum, epsilon, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None):
        if not training or not self.trainable or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.cast(self.gamma, "float32"),
            offset=ops.cast(self.beta, "float32"),
            mean=tf.zeros((0,)),
            variance=tf.zeros((0,)),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        variance *= (count - 1.0) / count  # the operation's is that of a sample, Keras's that of the batch
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            batch = ops.cast(ops.stop_gradient(batch), moving.dtype)
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs
