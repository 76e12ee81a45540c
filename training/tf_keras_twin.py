"""The same network in tf_keras, the legacy Keras that tensorflow-model-optimization needs.

Batch norms are folded, and every operation that int8 rounds by itself is a layer by itself. Importing this
module imports tf_keras.
"""

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from flpn_tf.errors import InputError
from flpn_tf.keras_registration import PACKAGE
from flpn_tf.layers import (
    Bottleneck,
    ConvNorm,
    GlobalContext,
    GroupedConv2D,
    GroupedConv2DTranspose,
    SmartModule,
)
from flpn_tf.layers.global_context import LAYER_NORM_EPSILON
from flpn_tf.models.pose_network import PoseNetwork

_ACTIVATIONS = {None: "linear", "relu": "relu"}  # ours → tf_keras's
_POSITIONS, _CHANNELS = (1, 2), -1


@tf_keras.utils.register_keras_serializable(PACKAGE)
class Convolution(tf_keras.layers.Layer):
    """A convolution of ours with its batch norm folded in: `conv.convolve` over this layer's own weights.

    Weights: `kernel`, shaped as that of `conv`, and `bias` (filters,). Stock tf_keras has no grouped
    convolution that trains on CPU, and no grouped transposed one.

    Args:
        conv: a `GroupedKernel` layer of Keras 3, or its config.
        activation: name of a tf_keras activation.

    Attributes:
        std: of the pixels that the convolution normalises, or None.
        phases: whether it runs its kernel (4, 4, …) as four of (2, 2, …).
    """

    def __init__(self, conv, activation="linear", **kwargs):
        super().__init__(**kwargs)
        if not isinstance(conv, dict):
            conv = keras.saving.serialize_keras_object(conv)
        # Without its weights, which a config that says how it was built would bring along.
        self.config = {key: conv[key] for key in conv if key != "build_config"}
        conv = keras.saving.deserialize_keras_object(self.config)
        self.filters, self.side, self.groups = conv.filters, conv.kernel_size, conv.groups
        self.std = getattr(conv, "std", None)
        self.phases = isinstance(conv, GroupedConv2DTranspose)
        # Not the layer itself, which would be tracked; not rewritten by autograph, which takes long.
        self.convolve = tf.autograph.experimental.do_not_convert(conv.convolve)
        self.activation = tf_keras.activations.get(activation)

    def build(self, input_shape):
        shape = (self.side, self.side, input_shape[-1] // self.groups, self.filters)
        self.kernel = self.add_weight("kernel", shape)
        self.bias = self.add_weight("bias", (self.filters,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs):
        return self.convolve(inputs, tf.convert_to_tensor(self.kernel), self.bias, self.activation)

    def get_config(self):
        activation = tf_keras.activations.serialize(self.activation)
        return super().get_config() | {"conv": self.config, "activation": activation}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class Vector(tf_keras.layers.Layer):
    """(B, 1, 1, C) "times" or "plus" a weight `value` (C,)."""

    def __init__(self, operation, **kwargs):
        super().__init__(**kwargs)
        self.operation = operation

    def build(self, input_shape):
        self.value = self.add_weight("value", (input_shape[-1],))
        super().build(input_shape)

    def call(self, inputs):
        return _OPERATIONS[self.operation](inputs, self.value)

    def get_config(self):
        return super().get_config() | {"operation": self.operation}


_OPERATIONS = {
    "times": lambda x, y: x * y,
    "plus": lambda x, y: x + y,
    "minus": lambda x, y: x - y,
    "add_relu": lambda x, y: tf.nn.relu(x + y),
    "relu": tf.nn.relu,
    "square": lambda x: x * x,
    "exp": tf.exp,
    "rsqrt": tf.math.rsqrt,
    "plus_epsilon": lambda x: x + LAYER_NORM_EPSILON,
    "max": lambda x: tf.reduce_max(x, _POSITIONS, keepdims=True),
    "mean": lambda x: tf.reduce_mean(x, _POSITIONS, keepdims=True),
    "channel_mean": lambda x: tf.reduce_mean(x, _CHANNELS, keepdims=True),
    "concatenate": lambda *x: tf.concat(x, _CHANNELS),
}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class Operation(tf_keras.layers.Layer):
    """One of `_OPERATIONS`, without weights, over one tensor or a list.

    Args:
        operation: its name.
        channels: keep so many of the first; None for all.
    """

    def __init__(self, operation, channels=None, **kwargs):
        super().__init__(**kwargs)
        self.operation = operation
        self.channels = channels

    def call(self, inputs):
        outputs = _OPERATIONS[self.operation](*(inputs if isinstance(inputs, list | tuple) else [inputs]))
        return outputs if self.channels in (None, outputs.shape[-1]) else outputs[..., : self.channels]

    def get_config(self):
        return super().get_config() | {"operation": self.operation, "channels": self.channels}


class Twin:
    """A tf_keras model that computes what a network of ours does at inference, to float rounding.

    Args:
        network: of Keras 3, built of the layers of `flpn_tf.layers` one behind the other.

    Attributes:
        model: the tf_keras functional model: RGB pixels 0–255 float32 (B, H, W, 3) → heatmaps.
        unrounded: names of layers whose outputs training must not round by themselves: int8 concatenates
            within one range, that of the whole, and a root's argument rounded to zero would give infinity.

    Raises:
        InputError: the network has a layer that this module does not build.
    """

    def __init__(self, network: PoseNetwork):
        self.network = network
        self._weighted = {}  # layer's name → (its weights, ours to write them back to)
        self.unrounded = set()
        inputs = tf_keras.Input((*network.image_size, 3), name="image")
        self.model = tf_keras.Model(inputs, self._chain(network, inputs), name=network.name)
        for name, (values, _) in self._weighted.items():
            self.model.get_layer(name).set_weights(values)

    def write_back(self, read) -> None:
        """Puts trained weights into the network, each batch norm becoming the bias alone.

        Args:
            read: layer's name → its weights as arrays, in the twin's order.
        """
        for name, (_, assign) in self._weighted.items():
            assign(*read(name))

    def _chain(self, network, x):
        previous = network.inputs[0]
        for layer in network.layers:
            if isinstance(layer, keras.layers.InputLayer):
                continue
            if len(layer._inbound_nodes) != 1 or layer.input is not previous:
                raise _no_twin(layer, "does not stand behind the layer before it alone")
            x = self._layer(layer, layer.name, x)
            previous = layer.output
        return x

    def _layer(self, layer, name, x):
        if isinstance(layer, Bottleneck):
            return self._bottleneck(layer, name, x)
        if isinstance(layer, ConvNorm):
            return self._conv_norm(layer, name, x)
        if isinstance(layer, GroupedConv2D) and layer.use_bias:
            return self._conv(layer, name, x)
        if isinstance(layer, SmartModule):
            return self._smart_module(layer, name, x)
        if isinstance(layer, GlobalContext):
            return self._context(layer, name, x)
        if isinstance(layer, keras.layers.ZeroPadding2D):
            return tf_keras.layers.ZeroPadding2D(layer.padding, name=name)(x)
        if isinstance(layer, keras.layers.MaxPooling2D) and layer.padding == "valid":
            return tf_keras.layers.MaxPooling2D(layer.pool_size, layer.strides, name=name)(x)
        raise _no_twin(layer, "is of a kind that the tf_keras twin does not have")

    def _bottleneck(self, block, name, x):
        if block.ACTIVATION != "relu":
            raise _no_twin(block, "has another activation than ReLU")
        shortcut = x if block.shortcut is None else self._layer(block.shortcut, f"{name}_shortcut", x)
        for layer in block.branch:
            x = self._layer(layer, f"{name}_{layer.name}", x)
        return Operation("add_relu", name=f"{name}_sum")([x, shortcut])

    def _conv_norm(self, unit, name, x):
        if unit.activation not in _ACTIVATIONS:
            raise _no_twin(unit, f"has the activation {unit.activation}")

        def assign(kernel, bias):
            norm = unit.norm
            unit.conv.kernel.assign(kernel)
            norm.beta.assign(bias)
            norm.moving_mean.assign(np.zeros(norm.moving_mean.shape))
            norm.moving_variance.assign(np.ones(norm.moving_variance.shape))
            norm.gamma.assign(np.full(norm.gamma.shape, np.sqrt(1 + norm.epsilon)))

        self._weighted[name] = [np.asarray(part) for part in unit.folded()], assign
        return Convolution(unit.conv, _ACTIVATIONS[unit.activation], name=name)(x)

    def _conv(self, conv, name, x):
        def assign(kernel, bias):
            conv.kernel.assign(kernel)
            conv.bias.assign(bias)

        self._weighted[name] = conv.get_weights(), assign
        return Convolution(conv, name=name)(x)

    def _vector(self, weight, operation, name, x):
        self._weighted[name] = [np.asarray(weight)], weight.assign
        return Vector(operation, name=name)(x)

    def _smart_module(self, module, name, x):
        x = self._layer(module.primary, f"{name}_primary", x)
        if module.cheap is None:
            return x
        cheap = self._layer(module.cheap, f"{name}_cheap", x)
        self.unrounded |= {f"{name}_primary", f"{name}_cheap"}
        return Operation("concatenate", module.filters, name=f"{name}_maps")([x, cheap])

    def _context(self, block, name, inputs):
        """As `GlobalContext` computes it, whose comments say why so."""

        def apply(operation, *x, label=None):
            return Operation(operation, name=f"{name}_{label or operation}")(x[0] if len(x) == 1 else list(x))

        logits = self._conv(block.attention, f"{name}_attention", inputs)
        weights = apply("exp", apply("minus", logits, apply("max", logits)))
        root = apply("rsqrt", apply("mean", weights, label="sum"))
        pooled = apply("mean", apply("times", inputs, weights), label="pooled")
        pooled = apply("times", apply("times", pooled, root, label="half"), root, label="whole")
        context = self._conv(block.squeeze, f"{name}_squeeze", pooled)
        difference = apply("minus", context, apply("channel_mean", context), label="difference")
        variance = apply("channel_mean", apply("square", difference), label="variance")
        root = apply("rsqrt", apply("plus_epsilon", variance), label="deviation")
        context = apply("times", difference, root, label="normalised")
        context = self._vector(block.gain, "times", f"{name}_gain", context)
        context = apply("relu", self._vector(block.shift, "plus", f"{name}_shift", context))
        context = self._conv(block.expand, f"{name}_expand", context)
        self.unrounded |= {f"{name}_{label}" for label in ("sum", "variance", "plus_epsilon")}
        return apply("plus", inputs, context)


def _no_twin(layer, reason) -> InputError:
    return InputError(
        f"the network has no tf_keras twin: its layer {layer.name} ({type(layer).__name__}) {reason}; "
        "choose another block, or the other QAT backend"
    )
