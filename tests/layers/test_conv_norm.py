import keras
import numpy as np
import pytest
from helpers import difference, numpy_conv, numpy_norm, random_maps, random_pixels, randomise

from flpn_tf.layers import ConvNorm, GroupedConv2D, GroupedConv2DTranspose, PixelConv2D
from flpn_tf.layers.batch_norm import BatchNorm
from flpn_tf.layers.conv_norm import conv_norm
from flpn_tf.layers.pixel_conv import IMAGENET_MEAN, IMAGENET_STD

ACTIVATED = {
    None: lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}


@pytest.mark.parametrize("activation", ACTIVATED)
def test_inference_is_convolution_then_batch_norm(activation):
    layer = conv_norm("unit", 8, 3, 2, groups=4, activation=activation)
    layer.build((None, 7, 6, 4))
    randomise(layer)
    x = random_maps(2, 7, 6, 4)
    expected = numpy_norm(numpy_conv(x, layer.conv.kernel, 2, 4), layer.norm)
    assert difference(layer(x), ACTIVATED[activation](expected)) < 1e-5


def test_inference_of_a_transposed_convolution_is_folded_too():
    layer = ConvNorm(GroupedConv2DTranspose(8, 4), activation=None)
    layer.build((None, 4, 3, 4))
    randomise(layer)
    x = random_maps(2, 4, 3, 4)
    assert difference(layer(x), numpy_norm(np.asarray(layer.conv(x)), layer.norm)) < 1e-5


@pytest.mark.parametrize("batch,side", [(8, 4), (2, 1), (1, 3)])
def test_training_uses_the_batch_and_moves_the_statistics(batch, side):
    layer = conv_norm("unit", 5, 1)
    layer.build((None, side, side, 3))
    randomise(layer)
    x = random_maps(batch, side, side, 3)
    before = [np.array(value) for value in (layer.norm.moving_mean, layer.norm.moving_variance)]
    maps = numpy_conv(x, layer.conv.kernel)
    mean, variance = maps.mean((0, 1, 2)), maps.var((0, 1, 2))
    gamma, beta = layer.norm.gamma.numpy(), layer.norm.beta.numpy()
    expected = np.maximum((maps - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)
    assert difference(layer(x, training=True), expected) < 1e-5
    assert difference(layer.norm.moving_mean, 0.9 * before[0] + 0.1 * mean) < 1e-5
    assert difference(layer.norm.moving_variance, 0.9 * before[1] + 0.1 * variance) < 1e-5


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_batch_norm_of_training_has_keras_own_gradients(policy):
    tensorflow = pytest.importorskip("tensorflow")
    options = {"momentum": 0.9, "epsilon": 1e-5, "dtype": policy}
    ours, theirs = BatchNorm(**options), keras.layers.BatchNormalization(**options)
    x = tensorflow.constant(random_maps(4, 5, 6, 3) * 3 + 2)
    upstream = random_maps(4, 5, 6, 3)
    found = []
    for layer in (ours, theirs):
        layer.build(x.shape)
        layer.gamma.assign([0.5, 2.0, -1.0])
        layer.beta.assign([0.1, 0.0, -0.3])
        with tensorflow.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
        sources = [x, layer.gamma.value, layer.beta.value]
        found.append([outputs, *tape.gradient(outputs, sources, tensorflow.cast(upstream, outputs.dtype))])
        found[-1] += [layer.moving_mean, layer.moving_variance]
    assert found[0][0].dtype == found[1][0].dtype
    bound = 1e-5 if policy == "float32" else 2e-2
    for one, other in zip(*found, strict=True):
        one, other = (np.asarray(keras.ops.cast(value, "float32")) for value in (one, other))
        assert difference(one, other) < bound * max(1, np.abs(other).max())


def test_a_frozen_batch_norm_stays_folded_in_training():
    layer = conv_norm("unit", 5, 1)
    layer.build((None, 4, 4, 3))
    randomise(layer)
    layer.norm.trainable = False
    x = random_maps(2, 4, 4, 3)
    assert difference(layer(x, training=True), layer(x)) == 0


@pytest.mark.parametrize("activation", ["gelu", "Relu"])
def test_unknown_activation(activation):
    with pytest.raises(ValueError, match=f"Received: activation='{activation}'$"):
        ConvNorm(GroupedConv2D(4, 1), activation)


@pytest.mark.parametrize("side,strides", [(3, 2), (7, 2), (3, 1)])
@pytest.mark.parametrize("use_bias", [False, True])
def test_pixel_convolution_pads_black_then_normalises(side, strides, use_bias):
    layer = PixelConv2D(6, side, strides, use_bias=use_bias)
    layer.build((None, 10, 8, 3))
    randomise(layer)
    x = random_pixels(2, 10, 8, 3)
    border = side // 2
    black = np.pad(x.astype("float64"), ((0, 0), (border, border), (border, border), (0, 0)))
    normalised = (black - IMAGENET_MEAN) / IMAGENET_STD
    expected = numpy_conv(normalised, layer.kernel, strides, border=0)
    if use_bias:
        expected += layer.bias.numpy()
    assert difference(layer(x), expected) < 1e-5


def test_pixel_convolution_folds_with_batch_norm():
    layer = ConvNorm(PixelConv2D(6, 3, 2), activation=None)
    layer.build((None, 8, 8, 3))
    randomise(layer)
    x = random_pixels(1, 8, 8, 3)
    assert difference(layer(x), numpy_norm(np.asarray(layer.conv(x)), layer.norm)) < 1e-5


def test_a_built_unit_survives_its_config():
    """Keras builds a layer it loads from a config; the unit must not build its convolution again."""
    layer = ConvNorm(GroupedConv2D(4, 3))
    layer.build((None, 4, 4, 2))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    again.set_weights(randomise(layer).get_weights())
    x = random_maps(1, 4, 4, 2)
    assert difference(again(x), layer(x)) == 0
