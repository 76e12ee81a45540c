"""The residual blocks the paper compares its smart bottleneck with, and all of them by name."""

import keras

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.layers import Bottleneck, SmartBottleneck, SqueezeExcite


@keras.saving.register_keras_serializable(package=PACKAGE)
class StandardBottleneck(Bottleneck):
    """1×1 → dense 3×3 → 1×1: ResNet's block, the stride on the 3×3 (He et al. 2016).

    Arguments and shapes are those of `Bottleneck`.
    """

    def make_branch(self):
        return [
            self.unit("reduce", self.hidden, 1),
            self.unit("spatial", self.hidden, 3, self.strides),
            self.unit("expand", self.filters, 1, activation=None),
        ]


@keras.saving.register_keras_serializable(package=PACKAGE)
class GhostBottleneck(SmartBottleneck):
    """Ghost module → depthwise 3×3 → ghost module (Han et al. 2020, "GhostNet").

    A ghost module *is* a smart module of ratio 2, so this is a smart bottleneck without context.
    GhostNet has the depthwise convolution only where a block strides; here every block has it, as
    the bottleneck it replaces has its 3×3. Arguments and shapes are those of `Bottleneck`.
    """

    GLOBAL_CONTEXT = False

    def __init__(self, hidden, filters, strides=1, global_context=None, **kwargs):
        super().__init__(hidden, filters, strides, 2, global_context, **kwargs)

    def get_config(self):
        config = super().get_config()
        del config["ratio"]
        return config


@keras.saving.register_keras_serializable(package=PACKAGE)
class MobileNetV3Bottleneck(Bottleneck):
    """1×1 → depthwise 3×3 → squeeze-excite → 1×1, hard-swish inside, nothing behind the sum.

    Howard et al. 2019, with this network's widths: hidden M and output 4·M, where MobileNetV3
    widens inside. Arguments and shapes are those of `Bottleneck`.
    """

    ACTIVATION = None

    def make_branch(self):
        depthwise = (3, self.strides, self.hidden)
        return [
            self.unit("reduce", self.hidden, 1, activation="hard_swish"),
            self.unit("depthwise", self.hidden, *depthwise, activation="hard_swish"),
            SqueezeExcite(dtype=self.dtype_policy, name="excite"),
            self.unit("expand", self.filters, 1, activation=None),
        ]


@keras.saving.register_keras_serializable(package=PACKAGE)
class LPNBottleneck(Bottleneck):
    """1×1 → depthwise 3×3 → 1×1 → global context, as wide outside as inside.

    Zhang, Tang and Wu 2019, "Simple and Lightweight Human Pose Estimation". Arguments and shapes
    are those of `Bottleneck`.
    """

    EXPANSION = 1
    GLOBAL_CONTEXT = True

    def make_branch(self):
        return [
            self.unit("reduce", self.hidden, 1),
            self.unit("depthwise", self.hidden, 3, self.strides, self.hidden),
            self.unit("expand", self.filters, 1, activation=None),
        ]


BLOCKS = {
    "smart": SmartBottleneck,
    "standard": StandardBottleneck,
    "ghost": GhostBottleneck,
    "mobilenetv3": MobileNetV3Bottleneck,
    "lpn": LPNBottleneck,
}
