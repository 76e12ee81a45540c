"""The context block's layer norm in the arithmetic of a phone's GPU: float16 without subnormal numbers."""

import numpy as np
import pytest

from flpn_tf.layers.global_context import LAYER_NORM_EPSILON, GlobalContext


def half(values):
    """Rounds to float16; what is below its smallest normal number becomes 0."""
    values = np.asarray(values, np.float64).astype(np.float16)
    return np.where(np.abs(values) < np.finfo(np.float16).smallest_normal, np.float16(0), values)


def mean(values):
    """Over the last axis, summed in float16."""
    total = np.zeros_like(values[..., :1])
    for i in range(values.shape[-1]):
        total = half(total + values[..., i : i + 1])
    return half(total / np.float16(values.shape[-1]))


def on_gpu(inputs):
    """`GlobalContext.normalise` without gain and shift, every operation rounded."""
    inputs = half(inputs)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        difference = half(inputs - mean(inputs))
        variance = half(mean(half(difference * difference)) + half(LAYER_NORM_EPSILON))
        return half(difference * half(1 / np.sqrt(variance.astype(np.float64)))).astype(np.float64)


def exact(inputs):
    difference = inputs - inputs.mean(axis=-1, keepdims=True)
    return difference / np.sqrt((difference**2).mean(axis=-1, keepdims=True) + LAYER_NORM_EPSILON)


def test_the_layer_computes_what_is_rounded_here():
    layer = GlobalContext(reduction=1.0)
    layer.build((1, 4, 4, 32))
    inputs = np.random.default_rng(1).normal(0, 3, (5, 1, 1, 32)).astype("float32")
    np.testing.assert_allclose(layer.normalise(inputs), exact(inputs), rtol=1e-4, atol=1e-5)


# 128 channels are the most FLPN has.
@pytest.mark.parametrize(
    "channels, deviation", [(4, 0.8), (4, 60.0), (32, 0.8), (32, 17.0), (128, 0.8), (128, 17.0)]
)
def test_float16_agrees_where_networks_are(channels, deviation):
    inputs = np.random.default_rng(0).normal(0, deviation, (200, channels))
    np.testing.assert_allclose(on_gpu(inputs), exact(inputs), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("size", [0.0, 1e-4, 3e-3])
def test_channels_that_hardly_differ_stay_finite(size):
    found = on_gpu(np.array([[size, -size, size, -size], [5.0, 5.0, 5.0, 5.0]]))
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 1
