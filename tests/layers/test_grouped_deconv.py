import numpy as np
import pytest
import tensorflow as tf
from helpers import difference, random_maps, randomise

from flpn_tf.layers import GroupedConv2DTranspose


def per_group(x, kernel, groups):
    """`tf.nn.conv2d_transpose` of each group; its kernel is (kh, kw, out, in) and not flipped."""
    batch, height, width, _ = x.shape
    pieces = []
    for part, taps in zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True):
        shape = (batch, 2 * height, 2 * width, taps.shape[-1])
        pieces.append(tf.nn.conv2d_transpose(part, tf.transpose(taps, (0, 1, 3, 2)), shape, 2, "SAME"))
    return tf.concat(pieces, -1)


@pytest.mark.parametrize(
    "channels,filters,groups", [(6, 8, 1), (8, 8, 8), (12, 6, 6), (4, 12, 2), (16, 8, 8)]
)
def test_forward_and_gradients_equal_transposed_convolution_per_group(channels, filters, groups):
    layer = GroupedConv2DTranspose(filters, groups)
    layer.build((None, 5, 3, channels))
    randomise(layer)
    x, kernel = tf.constant(random_maps(2, 5, 3, channels)), tf.constant(layer.kernel.numpy())
    results = []
    for function in (layer.convolve, lambda x, k: per_group(x, k, groups)):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            output = function(x, kernel)
            loss = tf.reduce_sum(output * random_maps(*output.shape, seed=9))
        results.append([output, *tape.gradient(loss, (x, kernel))])
    assert results[0][0].shape == (2, 10, 6, filters)
    assert difference(layer(x), results[1][0]) < 1e-5
    for ours, reference in zip(*results, strict=True):
        assert difference(ours, reference) < 1e-5


def test_bias_is_added_to_every_pixel():
    layer = GroupedConv2DTranspose(4, 2)
    layer.build((None, 3, 3, 2))
    randomise(layer)
    x, bias = random_maps(1, 3, 3, 2), np.arange(4.0, dtype="float32")
    assert difference(layer.convolve(x, layer.kernel.value, bias), layer(x) + bias) < 1e-6
