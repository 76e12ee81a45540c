"""What every residual block of the paper shares: a branch, a shortcut, their sum and a ReLU."""

import keras
from keras import ops

from flpn_tf.layers.conv_norm import ConvNorm
from flpn_tf.layers.grouped_conv import GroupedConv2D


class Bottleneck(keras.layers.Layer):
    """Base of the residual blocks; a subclass fills `self.branch`, a list of layers, in `__init__`.

    The shortcut is the identity where input and output shapes agree, else a 1×1 convolution with
    batch norm. (B, H, W, C) → (B, H / strides, W / strides, filters).

    Args:
        filters: output channels.
        strides: stride of the block.
        activation: applied to the sum, "relu" or None.
    """

    def __init__(self, filters, strides=1, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.activation = activation
        self.branch = []
        self.shortcut = None

    def build(self, input_shape):
        shape = input_shape
        for layer in self.branch:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        if self.strides != 1 or input_shape[-1] != self.filters:
            policy = self.dtype_policy
            conv = GroupedConv2D(self.filters, 1, self.strides, dtype=policy, name="conv")
            self.shortcut = ConvNorm(conv, activation=None, dtype=policy, name="shortcut")
            self.shortcut.build(input_shape)

    def transform(self, inputs):
        """The branch alone: the maps before the residual sum."""
        outputs = inputs
        for layer in self.branch:
            outputs = layer(outputs)
        return outputs

    def call(self, inputs):
        shortcut = inputs if self.shortcut is None else self.shortcut(inputs)
        outputs = self.transform(inputs) + shortcut
        return ops.relu(outputs) if self.activation == "relu" else outputs

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape

        def length(size):
            return None if size is None else -(-size // self.strides)

        return (batch, length(height), length(width), self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "strides": self.strides,
            "activation": self.activation,
        }
