"""Which tensors of the tf_keras twin tensorflow-model-optimization rounds, and how.

Importing this module imports tfmot and tf_keras.
"""

import os
from collections.abc import Iterable
from unittest import mock

import numpy as np
import tensorflow as tf
import tf_keras

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.training.tf_keras_twin import Convolution, Operation, Twin, Vector

# tfmot makes `tf.keras` the legacy Keras, in child processes too, unless it is Keras 3 already.
tf.keras.version  # noqa: B018
with mock.patch.dict(os.environ):
    import tensorflow_model_optimization as tfmot

_quantizers = tfmot.quantization.keras.quantizers


def quantised(twin: Twin, crops: Iterable) -> tf_keras.Model:
    """The twin's model with tfmot's rounding in it, its weights a copy.

    Args:
        twin: not trained.
        crops: batches (B, H, W, 3) of pixels that set the first ranges: tfmot begins at ±6 and moves by a
            thousandth a step.
    """

    def annotate(layer):
        if isinstance(layer, tf_keras.layers.InputLayer):
            return layer
        return tfmot.quantization.keras.quantize_annotate_layer(layer, _config(layer, twin))

    annotated = tf_keras.models.clone_model(twin.model, clone_function=annotate)
    annotated.set_weights(twin.model.get_weights())
    model = tfmot.quantization.keras.quantize_apply(annotated)
    ranges = _ranges(twin.model, crops)
    for layer in model.layers:
        if isinstance(layer, tfmot.quantization.keras.QuantizeWrapperV2):
            low, high = ranges[layer.layer.name]
        elif layer.weights:
            low, high = 0.0, 255.0  # the pixels: scale 1, whatever the first batches show
        for weight in layer.weights:
            end = weight.name.split("/")[-1].split(":")[0]
            if end in ("post_activation_min", "output_min") or end.endswith("layer_min"):
                weight.assign(min(low, 0.0))
            if end in ("post_activation_max", "output_max") or end.endswith("layer_max"):
                weight.assign(max(high, 0.0))
    return model


def trained_weights(model: tf_keras.Model):
    """layer's name in the twin → its weights, of a model that `quantised` made."""
    wrappers = {layer.layer.name: layer for layer in _wrappers(model)}
    # The wrapped layer's own attributes hold what was rounded last.
    return lambda name: [weight.numpy() for weight in wrappers[name].trainable_weights]


def freeze(model: tf_keras.Model) -> None:
    """Puts the rounded weights, as constants, in the place of weights and their rounding, for conversion.

    The converter takes a rounded weight for what it is only where a convolution reads it directly; through
    the slices of a phase or the reshaping of a depthwise kernel it writes no valid model. The model cannot
    be trained any more.
    """
    for wrapper in _wrappers(model):
        rounded = [quantizer(weight, True, weights=ends) for weight, quantizer, ends in wrapper._weight_vars]
        wrapper._weight_vars = []
        wrapper.quantize_config.set_quantize_weights(wrapper.layer, [tf.constant(w.numpy()) for w in rounded])


def _wrappers(model: tf_keras.Model) -> list:
    return [layer for layer in model.layers if isinstance(layer, tfmot.quantization.keras.QuantizeWrapperV2)]


def _config(layer, twin: Twin) -> "LayerConfig":
    rounded = layer.name not in twin.unrounded
    if isinstance(layer, Convolution):
        return LayerConfig("kernel", layer.std, layer.phases, activation=rounded)
    if isinstance(layer, Vector):
        return LayerConfig("value", output=True)
    return LayerConfig(output=rounded and isinstance(layer, Operation))


def _ranges(model: tf_keras.Model, crops) -> dict[str, tuple[float, float]]:
    """Layer's name → mean over the batches of its outputs' smallest and largest value."""
    layers = model.layers
    outputs = tf_keras.Model(model.input, [layer.output for layer in layers])

    @tf.function
    def extremes(images):
        maps = outputs(tf.cast(images, tf.float32), training=False)
        return tf.stack([(tf.reduce_min(m), tf.reduce_max(m)) for m in maps])

    means = np.mean([extremes(images) for images in crops], axis=0)
    return {layer.name: tuple(map(float, mean)) for layer, mean in zip(layers, means, strict=True)}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class KernelQuantizer(_quantizers.LastValueQuantizer):
    """int8 with one scale for each output channel of each convolution that the kernel becomes.

    Args:
        divisors: one per input channel, what the kernel is divided by where it is run; None for none.
        phases: whether the kernel (4, 4, …) is run as four of (2, 2, …), one per parity of row and column.
    """

    def __init__(self, divisors=None, phases=False):
        super().__init__(num_bits=8, per_axis=True, symmetric=True, narrow_range=True)
        self.divisors = divisors
        self.phases = phases

    def build(self, tensor_shape, name, layer):
        channels = tensor_shape[-1] * (4 if self.phases else 1)
        return self._add_range_weights(layer, name, True, (channels,))

    def __call__(self, inputs, training, weights, **kwargs):
        if self.divisors is not None:
            divisors = tf.reshape(tf.constant(self.divisors), (-1, 1))
            return super().__call__(inputs / divisors, training, weights, **kwargs) * divisors
        if not self.phases:
            return super().__call__(inputs, training, weights, **kwargs)
        _, _, channels, filters = inputs.shape
        kernel = tf.reshape(inputs, (2, 2, 2, 2, channels, filters))
        kernel = tf.reshape(tf.transpose(kernel, (0, 2, 4, 1, 3, 5)), (2, 2, channels, 4 * filters))
        kernel = super().__call__(kernel, training, weights, **kwargs)
        kernel = tf.transpose(tf.reshape(kernel, (2, 2, channels, 2, 2, filters)), (0, 3, 1, 4, 2, 5))
        return tf.reshape(kernel, inputs.shape)

    def get_config(self):
        return {"divisors": self.divisors, "phases": self.phases}


@tf_keras.utils.register_keras_serializable(PACKAGE)
class LayerConfig(tfmot.quantization.keras.QuantizeConfig):
    """Rounds a layer's weight, the activation behind it, or its output.

    Args:
        weight: the attribute that holds it; None for none. Biases stay: int8 keeps them in 32 bits.
        divisors, phases: of a `kernel`, as in `KernelQuantizer`; another weight has one scale.
        activation, output: whether they are rounded, in a range that follows the batches.
    """

    def __init__(self, weight=None, divisors=None, phases=False, activation=False, output=False):
        self.weight, self.divisors, self.phases = weight, divisors, phases
        self.activation, self.output = activation, output

    def get_weights_and_quantizers(self, layer):
        if self.weight is None:
            return []
        if self.weight == "kernel":
            return [(layer.kernel, KernelQuantizer(self.divisors, self.phases))]
        whole = _quantizers.LastValueQuantizer(8, per_axis=False, symmetric=True, narrow_range=True)
        return [(getattr(layer, self.weight), whole)]

    def set_quantize_weights(self, layer, quantize_weights):
        for weight in quantize_weights:
            setattr(layer, self.weight, weight)

    def get_activations_and_quantizers(self, layer):
        return [(layer.activation, _moving_range())] if self.activation else []

    def set_quantize_activations(self, layer, quantize_activations):
        for activation in quantize_activations:
            layer.activation = activation

    def get_output_quantizers(self, layer):
        return [_moving_range()] if self.output else []

    def get_config(self):
        names = ("weight", "divisors", "phases", "activation", "output")
        return {name: getattr(self, name) for name in names}


def _moving_range():
    return _quantizers.MovingAverageQuantizer(8, per_axis=False, symmetric=False, narrow_range=False)
