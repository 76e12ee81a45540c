"""Convolution + batch norm + ReLU, as one unit whose inference form is a plain convolution."""

import keras
from keras import ops

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.layers.batch_norm import BatchNorm
from flpn_tf.layers.grouped_conv import GroupedConv2D

# The reference implementations' values (torch momentum 0.1 is Keras's 0.9).
BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5


def hard_sigmoid(x):
    """relu6(x + 3) / 6, spelled so that the TFLite converter fuses `x * hard_sigmoid(x)`."""
    return ops.relu6(x + 3.0) * (1.0 / 6.0)


ACTIVATIONS = {None: lambda x: x, "relu": ops.relu, "hard_swish": lambda x: x * hard_sigmoid(x)}


@keras.saving.register_keras_serializable(package=PACKAGE)
class ConvNorm(keras.layers.Layer):
    """`conv` → batch norm → `activation`.

    Outside training the batch norm is folded into the convolution's kernel and bias in the graph
    itself: freezing that graph leaves a convolution with constants, also behind the depth-to-space
    of a `GroupedConv2DTranspose`, where no converter folds it. Where the convolution quantises, it is
    folded in training too, and its statistics stay as they are: int8 rounds the folded kernel.

    Args:
        conv: a `GroupedConv2D` or `GroupedConv2DTranspose` without bias; anything with a `kernel`
            whose last axis is the output channels and `convolve(inputs, kernel, bias, activation)`.
        activation: "relu", "hard_swish" or None.

    Input and output shapes are those of `conv`.

    Raises:
        ValueError: unknown activation.
    """

    def __init__(self, conv, activation="relu", **kwargs):
        super().__init__(**kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {list(ACTIVATIONS)}. Received: {activation=}")
        self.conv = conv
        self.activation = activation
        self.norm = BatchNorm(momentum=BN_MOMENTUM, epsilon=BN_EPSILON, dtype=self.dtype_policy, name="norm")

    def build(self, input_shape):
        if not self.conv.built:  # a convolution loaded from a config may come built
            self.conv.build(input_shape)
        self.norm.build(self.conv.compute_output_shape(input_shape))

    def folded(self):
        """(kernel, bias) of the convolution that equals conv + batch norm at inference, float32."""
        norm = self.norm
        scale = ops.cast(norm.gamma, "float32") * ops.rsqrt(
            ops.cast(norm.moving_variance, "float32") + norm.epsilon
        )
        bias = ops.cast(norm.beta, "float32") - ops.cast(norm.moving_mean, "float32") * scale
        return ops.cast(self.conv.kernel, "float32") * scale, bias

    def call(self, inputs, training=None):
        activation = ACTIVATIONS[self.activation]
        if training and self.norm.trainable and not self.conv.quantises:
            return activation(self.norm(self.conv(inputs), training=True))
        kernel, bias = (ops.cast(part, self.compute_dtype) for part in self.folded())
        return self.conv.convolve(inputs, kernel, bias, activation)

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    def get_config(self):
        return super().get_config() | {
            "conv": keras.saving.serialize_keras_object(self.conv),
            "activation": self.activation,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["conv"] = keras.saving.deserialize_keras_object(config["conv"])
        return cls(**config)


def conv_norm(name, filters, kernel_size, strides=1, groups=1, activation="relu", dtype=None):
    """The usual unit: a `ConvNorm` over a `GroupedConv2D`; arguments as theirs."""
    conv = GroupedConv2D(filters, kernel_size, strides, groups, dtype=dtype, name="conv")
    return ConvNorm(conv, activation, dtype=dtype, name=name)
