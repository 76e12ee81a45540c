"""What every residual block of the paper shares: a branch, a shortcut, their sum and a ReLU."""

import keras

from flpn_tf.layers import fake_quant
from flpn_tf.layers.conv_norm import ACTIVATIONS, conv_norm
from flpn_tf.layers.global_context import GlobalContext


class Bottleneck(keras.layers.Layer):
    """Base of the residual blocks; a subclass says what the branch is in `make_branch`.

    The shortcut is the identity where input and output shapes agree, else a 1×1 convolution with
    batch norm. (B, H, W, C) → (B, ceil(H / strides), ceil(W / strides), filters).

    Args:
        hidden: M, channels inside the block.
        filters: N, output channels.
        strides: stride of the block.
        global_context: ends the branch with a `GlobalContext`; None: where the block's source has it.

    Attributes:
        EXPANSION: N / M in the networks built of this block.
        ACTIVATION: what the sum passes through, as in `ConvNorm`.
        GLOBAL_CONTEXT: whether the block's source has the context.
    """

    EXPANSION = 4
    ACTIVATION = "relu"
    GLOBAL_CONTEXT = False

    def __init__(self, hidden, filters, strides=1, global_context=None, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.filters = filters
        self.strides = strides
        self.global_context = self.GLOBAL_CONTEXT if global_context is None else bool(global_context)
        self.shortcut = None
        self.output_range = fake_quant.output_range()

    def make_branch(self):
        """The layers of the branch in order, without the context block."""
        raise NotImplementedError

    def unit(self, name, filters, kernel_size, strides=1, groups=1, activation="relu"):
        """A `ConvNorm` with this block's precision."""
        return conv_norm(name, filters, kernel_size, strides, groups, activation, dtype=self.dtype_policy)

    def build(self, input_shape):
        branch = self.make_branch()
        if self.global_context:
            branch.append(GlobalContext(dtype=self.dtype_policy, name="context"))
        self.branch = branch
        shape = input_shape
        for layer in branch:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        if self.strides != 1 or input_shape[-1] != self.filters:
            self.shortcut = self.unit("shortcut", self.filters, 1, self.strides, activation=None)
            self.shortcut.build(input_shape)

    def transform(self, inputs):
        """The branch alone: the maps before the residual sum."""
        outputs = inputs
        for layer in self.branch:
            outputs = layer(outputs)
        return outputs

    def call(self, inputs):
        shortcut = inputs if self.shortcut is None else self.shortcut(inputs)
        return self.output_range(ACTIVATIONS[self.ACTIVATION](self.transform(inputs) + shortcut))

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape

        def length(size):
            return None if size is None else -(-size // self.strides)

        return (batch, length(height), length(width), self.filters)

    def get_config(self):
        return super().get_config() | {
            "hidden": self.hidden,
            "filters": self.filters,
            "strides": self.strides,
            "global_context": self.global_context,
        }
