"""The smart bottleneck: FLPN's residual block."""

import keras

from flpn_tf.layers.bottleneck import Bottleneck
from flpn_tf.layers.conv_norm import ConvNorm
from flpn_tf.layers.global_context import GlobalContext
from flpn_tf.layers.grouped_conv import PACKAGE, GroupedConv2D
from flpn_tf.layers.smart_module import SmartModule


@keras.saving.register_keras_serializable(package=PACKAGE)
class SmartBottleneck(Bottleneck):
    """Smart 1×1 → depthwise 3×3 → smart 1×1 → global context, plus the shortcut, then ReLU.

    (B, H, W, C) → (B, H / strides, W / strides, filters); the stride is on the depthwise
    convolution (paper, section III; its figure of the block).

    Args:
        hidden: M, channels inside the block.
        filters: N, output channels (4·M in FLPN).
        strides: 1 or 2.
        ratio: t of both smart modules.
        global_context: False leaves the context block out (an ablation).
    """

    def __init__(self, hidden, filters, strides=1, ratio=2, global_context=True, **kwargs):
        super().__init__(filters, strides, **kwargs)
        self.hidden = hidden
        self.ratio = ratio
        self.global_context = global_context
        policy = self.dtype_policy
        depthwise = GroupedConv2D(hidden, 3, strides, groups=hidden, dtype=policy, name="conv")
        self.branch = [
            SmartModule(hidden, ratio, dtype=policy, name="reduce"),
            ConvNorm(depthwise, activation=None, dtype=policy, name="depthwise"),
            SmartModule(filters, ratio, activation=None, dtype=policy, name="expand"),
        ]
        if global_context:
            self.branch.append(GlobalContext(dtype=policy, name="context"))

    def get_config(self):
        return super().get_config() | {
            "hidden": self.hidden,
            "ratio": self.ratio,
            "global_context": self.global_context,
        }
