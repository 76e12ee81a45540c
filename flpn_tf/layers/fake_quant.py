"""Fake quantisation: int8's rounding inside a float network, so that training can answer it.

Layers built within `fake_quantised()` round their folded kernels and their outputs as an int8 `.tflite`
does; layers built elsewhere hold nothing of it (Jacob et al. 2018, "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference").
"""

import contextlib
from contextvars import ContextVar

import keras
from keras import ops

from flpn_tf.keras_registration import PACKAGE

MOMENTUM = 0.99
_LEVELS = 127  # int8 kernels are symmetric, -127 to 127
_SMALLEST = 1e-6  # of a range: an output that is zero everywhere has none of its own

_WANTED = ContextVar("fake_quantised", default=(False, False))  # kernels, outputs


@contextlib.contextmanager
def fake_quantised(kernels=True, outputs=None):
    """Layers built meanwhile round their kernels and outputs, or do not; None: outputs as kernels."""
    token = _WANTED.set((kernels, kernels if outputs is None else outputs))
    try:
        yield
    finally:
        _WANTED.reset(token)


def is_wanted() -> bool:
    """Whether layers built now round their kernels."""
    return _WANTED.get()[0]


def round_kernel(kernel):
    """A kernel on the int8 grid of each output channel (its last axis); the gradient passes as it is."""
    axes = tuple(range(len(kernel.shape) - 1))
    scale = ops.max(ops.abs(kernel), axis=axes, keepdims=True) / _LEVELS
    scale = ops.maximum(scale, keras.config.epsilon() * _SMALLEST)
    return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)


def keep(outputs, **_):
    """In place of a `FakeQuant` where nothing is quantised."""
    return outputs


def output_range():
    """What a layer built now passes its outputs through: a new `FakeQuant`, or `keep`."""
    return FakeQuant(name="range", dtype="float32") if _WANTED.get()[1] else keep


@keras.saving.register_keras_serializable(package=PACKAGE)
class FakeQuant(keras.layers.Layer):
    """Rounds a tensor to the 256 levels of its range, which holds 0; any shape → the same shape.

    The range is the moving average of the batches' smallest and largest values in training. In an exported
    TensorFlow graph it is a `FakeQuantWithMinMaxVars`, from which the TFLite converter takes the range.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # Several devices see several ranges; all go on with the mean.
        options = {"shape": (), "initializer": "zeros", "trainable": False, "autocast": False}
        for name in ("low", "high", "seen"):
            weight = self.add_weight(name=f"range_{name}", aggregation="mean", **options)
            setattr(self, name, weight)

    def call(self, inputs, training=None, observe=True):
        """Rounds `inputs`.

        Args:
            inputs: the tensor.
            training: moves the range.
            observe: False leaves the range as it is, for a part of a tensor whose whole follows; in training
                the part's own values then widen it for this once.
        """
        low, high = self.low.value, self.high.value
        if training:
            values = ops.stop_gradient(ops.cast(inputs, "float32"))
            batch_low = ops.minimum(ops.min(values), 0.0)
            batch_high = ops.maximum(ops.max(values), _SMALLEST)
            if observe:
                momentum = ops.minimum(MOMENTUM, self.seen / (self.seen + 1.0))
                low = momentum * low + (1.0 - momentum) * batch_low
                high = momentum * high + (1.0 - momentum) * batch_high
                self.low.assign(low)
                self.high.assign(high)
                self.seen.assign(self.seen + 1.0)
            else:
                low, high = ops.minimum(low, batch_low), ops.maximum(high, batch_high)
        return keras.quantizers.fake_quant_with_min_max_vars(inputs, low, high)

    def compute_output_shape(self, input_shape):
        return input_shape


def is_range(weight) -> bool:
    """Whether a variable of a network is of a `FakeQuant`."""
    return weight.name.startswith("range_")
