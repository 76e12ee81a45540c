"""A network of ours as one would write it with stock Keras layers alone, for benchmarks to compare with."""

import keras
import numpy as np
from keras import layers, ops

from flpn_tf.layers import Bottleneck, ConvNorm, GlobalContext, GroupedConv2D, GroupedConv2DTranspose
from flpn_tf.layers.global_context import LAYER_NORM_EPSILON
from flpn_tf.layers.grouped_deconv import _PHASES
from flpn_tf.layers.pixel_conv import PixelConv2D
from flpn_tf.layers.smart_module import SmartModule


def plain_network(network, depthwise=True, dense=False) -> keras.Model:
    """The same function with the same weights, copied: RGB pixels 0–255 (B, H, W, 3) → heatmaps.

    Normalization stands in front; batch norms are layers behind their convolutions; the context block is
    GCNet's: Softmax, Dot, LayerNormalization.

    Args:
        network: an FLPN of smart or standard bottlenecks.
        depthwise: where groups equal channels, `DepthwiseConv2D`; False is `Conv2D(groups=…)` everywhere.
        dense: Keras has no grouped `Conv2DTranspose`, and a layer for each of 256 groups is absurd. False
            writes its four phases, as ours does: 2×2 grouped convolutions, interleaved by
            `keras.ops.depth_to_space`; True is one `Conv2DTranspose`, its kernel zero between groups.

    Raises:
        TypeError: the network has a layer that this module does not build.
    """
    return _Plain(depthwise, dense).model(network)


class _Plain:
    def __init__(self, depthwise, dense):
        self.depthwise, self.dense = depthwise, dense
        self.weights = []  # (layer, its values), to be set when all is built

    def model(self, network):
        inputs = x = keras.Input((*network.image_size, 3), name="image")
        for layer in network.layers[1:]:
            x = self.layer(layer, x)
        model = keras.Model(inputs, x, name=f"plain_{network.name}")
        for layer, values in self.weights:
            layer.set_weights(values)
        return model

    def layer(self, ours, x):
        for kind, build in _BUILDERS.items():
            if type(ours) is kind or kind is Bottleneck and isinstance(ours, Bottleneck):
                return build(self, ours, x)
        raise TypeError(f"{ours.name}: stock layers are not known for {type(ours).__name__}")

    def add(self, layer, values, x):
        """`layer` over `x`; its weights will be `values`."""
        self.weights.append((layer, values))
        return layer(x)

    def conv_norm(self, unit, x):
        x = self.batch_norm(unit.norm, self.layer(unit.conv, x))
        return x if unit.activation is None else layers.Activation(unit.activation)(x)

    def batch_norm(self, ours, x):
        norm = layers.BatchNormalization(momentum=ours.momentum, epsilon=ours.epsilon)
        return self.add(norm, ours.get_weights(), x)

    def pixel_conv(self, conv, x):
        x = layers.ZeroPadding2D(conv.kernel_size // 2)(x)
        x = layers.Normalization(mean=conv.mean, variance=np.square(conv.std))(x)
        return self.kernel(np.asarray(conv.kernel), 1, conv.strides, "valid", x)

    def conv(self, conv, x):
        padding = conv.padding
        if padding == "same" and conv.strides > 1 and conv.kernel_size > 1:  # Keras's pads one side
            x, padding = layers.ZeroPadding2D(conv.kernel_size // 2)(x), "valid"
        bias = None if conv.bias is None else np.asarray(conv.bias)
        return self.kernel(np.asarray(conv.kernel), conv.groups, conv.strides, padding, x, bias)

    def kernel(self, kernel, groups, strides, padding, x, bias=None):
        """The stock convolution with our kernel (h, w, C / groups, filters)."""
        height, width, channels, filters = kernel.shape
        options = {"strides": strides, "padding": padding, "use_bias": bias is not None}
        if self.depthwise and groups > 1 and channels == 1:
            layer = layers.DepthwiseConv2D((height, width), depth_multiplier=filters // groups, **options)
            kernel = kernel.reshape(height, width, groups, filters // groups)
        else:
            layer = layers.Conv2D(filters, (height, width), groups=groups, **options)
        return self.add(layer, [kernel] if bias is None else [kernel, bias], x)

    def transposed(self, conv, x):
        kernel = np.asarray(conv.kernel)
        if self.dense:
            layer = layers.Conv2DTranspose(conv.filters, conv.kernel_size, 2, padding="same", use_bias=False)
            return self.add(layer, [_dense(kernel, conv.groups)], x)
        phases = []
        for rows, row_taps in _PHASES:
            for columns, column_taps in _PHASES:
                padded = layers.ZeroPadding2D((rows, columns))(x)
                taps = kernel[np.ix_(row_taps, column_taps)]
                phases.append(self.kernel(taps, conv.groups, 1, "valid", padded))
        return ops.depth_to_space(layers.Concatenate()(phases), 2)

    def bottleneck(self, block, x):
        shortcut = x if block.shortcut is None else self.layer(block.shortcut, x)
        for layer in block.branch:
            x = self.layer(layer, x)
        return layers.Activation(block.ACTIVATION)(layers.Add()([x, shortcut]))

    def smart_module(self, module, x):
        x = self.layer(module.primary, x)
        if module.cheap is None:
            return x
        x = layers.Concatenate()([x, self.layer(module.cheap, x)])
        return x if x.shape[-1] == module.filters else x[..., : module.filters]

    def context(self, block, inputs):
        channels = inputs.shape[-1]
        attention = layers.Reshape((-1, 1))(self.layer(block.attention, inputs))
        attention = layers.Softmax(axis=1)(attention)
        pooled = layers.Dot(axes=1)([layers.Reshape((-1, channels))(inputs), attention])
        x = self.layer(block.squeeze, layers.Reshape((1, 1, channels))(pooled))
        norm = layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON)
        x = layers.ReLU()(self.add(norm, [np.asarray(block.gain), np.asarray(block.shift)], x))
        return layers.Add()([inputs, self.layer(block.expand, x)])


def _dense(kernel, groups):
    """Our grouped (h, w, C / groups, filters) → (h, w, filters, C) of a `Conv2DTranspose`."""
    height, width, channels, filters = kernel.shape
    dense = np.zeros((height, width, filters, groups * channels), kernel.dtype)
    for output in range(filters):
        first = output // (filters // groups) * channels
        dense[:, :, output, first : first + channels] = kernel[..., output]
    return dense


_BUILDERS = {
    ConvNorm: _Plain.conv_norm,
    PixelConv2D: _Plain.pixel_conv,
    GroupedConv2D: _Plain.conv,
    GroupedConv2DTranspose: _Plain.transposed,
    SmartModule: _Plain.smart_module,
    GlobalContext: _Plain.context,
    Bottleneck: _Plain.bottleneck,
}
