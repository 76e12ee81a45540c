"""The global-context block of GCNet (Cao et al. 2019), in a form that survives int8."""

import keras
from keras import ops

from flpn_tf.layers.grouped_conv import PACKAGE, GroupedConv2D

LAYER_NORM_EPSILON = 1e-5


@keras.saving.register_keras_serializable(package=PACKAGE)
class GlobalContext(keras.layers.Layer):
    """Adds to every position a context vector pooled from all positions (paper, section III).

    A 1×1 convolution gives one attention map, softmax over the H·W positions weights the input, the
    weighted sum passes 1×1 (C → C·reduction) → layer norm → ReLU → 1×1 (back to C, zero at first)
    and is added to the input. (B, H, W, C) → (B, H, W, C).

    The softmax is never formed: its int8 output scale is fixed at 1/256, which rounds a flat
    attention over 64×48 positions to zero. Σ x·e / Σ e with e = exp(a − max a) is the same function.
    The quotient is taken as a product with the reciprocal root, twice: int8 DIV stops older runtimes
    where the stored integer of the sum is 0.

    Args:
        reduction: hidden channels as a share of C.
    """

    def __init__(self, reduction=1 / 16, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.attention = GroupedConv2D(1, 1, use_bias=True, dtype=self.dtype_policy, name="attention")

    def build(self, input_shape):
        channels = input_shape[-1]
        hidden = max(1, round(channels * self.reduction))
        policy = self.dtype_policy
        self.squeeze = GroupedConv2D(hidden, 1, use_bias=True, dtype=policy, name="squeeze")
        self.expand = GroupedConv2D(
            channels, 1, use_bias=True, kernel_initializer="zeros", dtype=policy, name="expand"
        )
        self.attention.build(input_shape)
        self.squeeze.build((input_shape[0], 1, 1, channels))
        self.expand.build((input_shape[0], 1, 1, hidden))
        self.gain = self.add_weight(name="gain", shape=(hidden,), initializer="ones")
        self.shift = self.add_weight(name="shift", shape=(hidden,), initializer="zeros")

    def pool(self, inputs):
        """(B, H, W, C) → (B, 1, 1, C), the attention-weighted mean over positions."""
        # Sums over thousands of positions overflow float16; in float32 the casts are no operations.
        logits = ops.cast(self.attention(inputs), "float32")
        weights = ops.exp(logits - ops.max(logits, axis=(1, 2), keepdims=True))
        # Σ e / (H·W) is above 0: the largest e is 1.
        root = ops.rsqrt(ops.mean(weights, axis=(1, 2), keepdims=True))
        pooled = ops.mean(ops.cast(inputs, "float32") * weights, axis=(1, 2), keepdims=True)
        return ops.cast(pooled * root * root, self.compute_dtype)

    def normalise(self, inputs):
        """Layer norm over the channels, spelled out: Keras's own leaves float ops in an int8 graph."""
        difference = inputs - ops.mean(inputs, axis=-1, keepdims=True)
        variance = ops.mean(difference * difference, axis=-1, keepdims=True)
        return difference * ops.rsqrt(variance + LAYER_NORM_EPSILON) * self.gain + self.shift

    def call(self, inputs):
        context = self.squeeze(self.pool(inputs))
        context = self.expand(ops.relu(self.normalise(context)))
        return inputs + context

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"reduction": self.reduction}
