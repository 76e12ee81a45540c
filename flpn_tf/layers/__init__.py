"""Keras layers of FLPN; importing this package registers them for (de)serialisation."""

from flpn_tf.keras_registration import register
from flpn_tf.layers.bottleneck import Bottleneck
from flpn_tf.layers.conv_norm import ConvNorm
from flpn_tf.layers.fake_quant import FakeQuant
from flpn_tf.layers.global_context import GlobalContext
from flpn_tf.layers.grouped_conv import GroupedConv2D
from flpn_tf.layers.grouped_deconv import GroupedConv2DTranspose
from flpn_tf.layers.pixel_conv import PixelConv2D
from flpn_tf.layers.smart_bottleneck import SmartBottleneck
from flpn_tf.layers.smart_module import SmartModule
from flpn_tf.layers.squeeze_excite import SqueezeExcite

__all__ = [
    "Bottleneck",
    "ConvNorm",
    "FakeQuant",
    "GlobalContext",
    "GroupedConv2D",
    "GroupedConv2DTranspose",
    "PixelConv2D",
    "SmartBottleneck",
    "SmartModule",
    "SqueezeExcite",
]

register()  # a saved network needs the classes of `flpn_tf.models` too
