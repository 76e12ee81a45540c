"""The smart bottleneck: FLPN's residual block."""

import keras

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.layers.bottleneck import Bottleneck
from flpn_tf.layers.smart_module import SmartModule


@keras.saving.register_keras_serializable(package=PACKAGE)
class SmartBottleneck(Bottleneck):
    """Smart 1×1 → depthwise 3×3 → smart 1×1 → global context, plus the shortcut, then ReLU.

    (B, H, W, C) → (B, ceil(H / strides), ceil(W / strides), filters); the stride is on the
    depthwise convolution (paper, section III; its figure of the block).

    Args:
        hidden: M, channels inside the block.
        filters: N, output channels (4·M in FLPN).
        strides: 1 or 2.
        ratio: t of both smart modules.
        global_context: False leaves the context block out (an ablation).

    Raises:
        ValueError: ratio below 1 or not whole.
    """

    GLOBAL_CONTEXT = True

    def __init__(self, hidden, filters, strides=1, ratio=2, global_context=None, **kwargs):
        super().__init__(hidden, filters, strides, global_context, **kwargs)
        self.ratio = ratio

    def make_branch(self):
        policy = self.dtype_policy
        return [
            SmartModule(self.hidden, self.ratio, dtype=policy, name="reduce"),
            self.unit("depthwise", self.hidden, 3, self.strides, self.hidden, activation=None),
            SmartModule(self.filters, self.ratio, activation=None, dtype=policy, name="expand"),
        ]

    def get_config(self):
        return super().get_config() | {"ratio": self.ratio}
