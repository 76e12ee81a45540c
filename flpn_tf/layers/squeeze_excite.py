"""Squeeze-and-excitation, as MobileNetV3 uses it."""

import keras
from keras import ops

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.layers.conv_norm import hard_sigmoid
from flpn_tf.layers.grouped_conv import GroupedConv2D


@keras.saving.register_keras_serializable(package=PACKAGE)
class SqueezeExcite(keras.layers.Layer):
    """Scales each channel by a gate computed from all channels' means.

    Mean over positions → 1×1 (C → C·reduction) → ReLU → 1×1 (back to C) → hard sigmoid, times the
    input. (B, H, W, C) → (B, H, W, C). Source: Howard et al. 2019, "Searching for MobileNetV3".

    Args:
        reduction: hidden channels as a share of C.
    """

    def __init__(self, reduction=1 / 4, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction

    def build(self, input_shape):
        batch, _, _, channels = input_shape
        hidden = max(1, round(channels * self.reduction))
        policy = self.dtype_policy
        self.squeeze = GroupedConv2D(hidden, 1, use_bias=True, dtype=policy, name="squeeze")
        self.excite = GroupedConv2D(channels, 1, use_bias=True, dtype=policy, name="excite")
        self.squeeze.build((batch, 1, 1, channels))
        self.excite.build((batch, 1, 1, hidden))

    def call(self, inputs):
        gate = ops.relu(self.squeeze(ops.mean(inputs, axis=(1, 2), keepdims=True)))
        return inputs * hard_sigmoid(self.excite(gate))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"reduction": self.reduction}
