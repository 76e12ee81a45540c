"""The global-context block of GCNet (Cao et al. 2019), in a form that survives int8."""

import keras
from keras import ops

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.layers import fake_quant
from flpn_tf.layers.grouped_conv import GroupedConv2D

LAYER_NORM_EPSILON = 2.0**-14  # float16's smallest normal number: GPUs flush a smaller one to 0


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

    # The tensors between its convolutions, each of which int8 rounds.
    _STEPS = (
        *("logits", "weights", "total", "root", "weighted", "sum", "scaled", "pooled"),
        *("mean", "difference", "square", "variance", "reciprocal", "normal", "gained", "hidden"),
    )

    def __init__(self, reduction=1 / 16, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction
        self.output_range = fake_quant.output_range()
        self.ranges = {step: fake_quant.output_range() for step in self._STEPS}
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
        rounded = self.ranges
        logits = ops.cast(self.attention(inputs), "float32")
        logits = rounded["logits"](logits - ops.max(logits, axis=(1, 2), keepdims=True))
        weights = rounded["weights"](ops.exp(logits))
        # Σ e / (H·W) is above 0: the largest e is 1.
        total = rounded["total"](ops.mean(weights, axis=(1, 2), keepdims=True))
        root = rounded["root"](ops.rsqrt(total))
        weighted = rounded["weighted"](ops.cast(inputs, "float32") * weights)
        pooled = rounded["sum"](ops.mean(weighted, axis=(1, 2), keepdims=True))
        pooled = rounded["pooled"](rounded["scaled"](pooled * root) * root)
        return ops.cast(pooled, self.compute_dtype)

    def normalise(self, inputs):
        """Layer norm over the channels, spelled out: Keras's own leaves float ops in an int8 graph."""
        rounded = self.ranges
        difference = rounded["difference"](inputs - rounded["mean"](ops.mean(inputs, axis=-1, keepdims=True)))
        square = rounded["square"](difference * difference)
        variance = rounded["variance"](ops.mean(square, axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
        normal = rounded["normal"](difference * rounded["reciprocal"](ops.rsqrt(variance)))
        return rounded["gained"](normal * self.gain) + self.shift

    def call(self, inputs):
        context = self.squeeze(self.pool(inputs))
        context = self.expand(self.ranges["hidden"](ops.relu(self.normalise(context))))
        return self.output_range(inputs + context)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"reduction": self.reduction}
