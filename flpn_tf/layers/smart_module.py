"""The smart module: a few intrinsic maps, and cheap maps made from them."""

from functools import partial
from math import ceil

import keras
from keras import ops

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.layers import fake_quant
from flpn_tf.layers.conv_norm import conv_norm


@keras.saving.register_keras_serializable(package=PACKAGE)
class SmartModule(keras.layers.Layer):
    """1×1 convolution whose output is partly made by cheap grouped convolutions (paper, section III).

    Of `filters` = n output maps, m = ceil(n / ratio) *intrinsic* maps come from a 1×1 convolution,
    m·(ratio − 1) *cheap* maps from a 3×3 grouped convolution of those (groups = m); both have a
    batch norm and the activation. They are concatenated and the first n kept.
    (B, H, W, C) → (B, H, W, filters).

    Args:
        filters: n, output channels.
        ratio: t ≥ 1; 1 is a plain 1×1 convolution.
        activation: as in `ConvNorm`.

    Raises:
        ValueError: ratio below 1 or not whole.
    """

    def __init__(self, filters, ratio, activation="relu", **kwargs):
        super().__init__(**kwargs)
        if ratio != int(ratio) or ratio < 1:
            raise ValueError(f"ratio must be a whole number, 1 or more. Received: {ratio=}")
        self.filters = filters
        self.ratio = int(ratio)
        self.activation = activation
        intrinsic = ceil(filters / ratio)
        policy = self.dtype_policy
        self.cheap = None
        if self.ratio == 1:
            self.primary = conv_norm("primary", intrinsic, 1, activation=activation, dtype=policy)
            return
        self.output_range = fake_quant.output_range()
        with fake_quant.fake_quantised(fake_quant.is_wanted(), outputs=False):
            self.primary = conv_norm("primary", intrinsic, 1, activation=activation, dtype=policy)
            cheap = intrinsic * (self.ratio - 1)
            self.cheap = conv_norm("cheap", cheap, 3, 1, intrinsic, activation, dtype=policy)
        # A concatenation in int8 has one range for its inputs and its output.
        for part in (self.primary, self.cheap):
            part.conv.output_range = partial(self.output_range, observe=False)

    def build(self, input_shape):
        self.primary.build(input_shape)
        if self.cheap is not None:
            self.cheap.build(self.primary.compute_output_shape(input_shape))

    def call(self, inputs):
        outputs = self.primary(inputs)
        if self.cheap is None:
            return outputs
        outputs = self.output_range(ops.concatenate([outputs, self.cheap(outputs)], axis=-1))
        if outputs.shape[-1] == self.filters:
            return outputs
        return outputs[..., : self.filters]

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "ratio": self.ratio,
            "activation": self.activation,
        }
