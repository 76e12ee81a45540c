"""What holds for every layer: shapes, config, precision, errors."""

import json

import keras
import numpy as np
import pytest
from helpers import difference, random_maps, randomise

from flpn_tf.layers import (
    ConvNorm,
    GlobalContext,
    GroupedConv2D,
    GroupedConv2DTranspose,
    PixelConv2D,
    SmartBottleneck,
    SmartModule,
    SqueezeExcite,
)
from flpn_tf.models.bottlenecks import BLOCKS

# Layer, channels in, shape out of a 7×6 map.
LAYERS = {
    "conv": (lambda **k: GroupedConv2D(6, 3, 2, groups=2, use_bias=True, **k), 4, (4, 3, 6)),
    "conv_valid": (lambda **k: GroupedConv2D(6, 2, padding="valid", **k), 4, (6, 5, 6)),
    "deconv": (lambda **k: GroupedConv2DTranspose(6, 2, **k), 4, (14, 12, 6)),
    "pixel_conv": (lambda **k: PixelConv2D(6, 3, 2, mean=(1, 2, 3), std=(4, 5, 6), **k), 3, (4, 3, 6)),
    "conv_norm": (lambda **k: ConvNorm(GroupedConv2D(6, 3, 2, **k), None, **k), 4, (4, 3, 6)),
    "global_context": (lambda **k: GlobalContext(1 / 2, **k), 4, (7, 6, 4)),
    "squeeze_excite": (lambda **k: SqueezeExcite(1 / 2, **k), 4, (7, 6, 4)),
    "smart_module": (lambda **k: SmartModule(7, 3, None, **k), 4, (7, 6, 7)),
    "smart": (lambda **k: SmartBottleneck(4, 8, 2, 3, global_context=False, **k), 4, (4, 3, 8)),
} | {name: (lambda b=block, **k: b(4, 8, 2, **k), 4, (4, 3, 8)) for name, block in BLOCKS.items()}


@pytest.fixture(params=LAYERS)
def case(request):
    return LAYERS[request.param]


def test_shapes(case):
    make, channels, shape = case
    layer = make()
    assert layer.compute_output_shape((None, 7, 6, channels)) == (None, *shape)
    assert layer(keras.Input((7, 6, channels))).shape == (None, *shape)
    assert layer(random_maps(2, 7, 6, channels)).shape == (2, *shape)
    assert make()(keras.Input((None, None, channels))).shape == (None, None, None, shape[-1])


def test_config_makes_the_same_layer(case):
    make, channels, _ = case
    layer = make(name="a_name")
    x = random_maps(1, 7, 6, channels)
    layer(x)  # builds
    randomise(layer)
    config = json.dumps(keras.saving.serialize_keras_object(layer))
    again = keras.saving.deserialize_keras_object(json.loads(config))
    assert again.name == "a_name"
    assert json.dumps(keras.saving.serialize_keras_object(again)) == config
    again.set_weights(layer.get_weights())
    assert difference(again(x), layer(x)) == 0


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(case, policy):
    make, channels, _ = case
    layer, single = make(dtype=policy), make()
    x = random_maps(1, 7, 6, channels)
    single(x)
    maps = layer(x)
    randomise(single)
    layer.set_weights(single.get_weights())
    assert keras.backend.standardize_dtype(maps.dtype) == policy.removeprefix("mixed_")
    assert {w.dtype for w in layer.weights} == {"float32"}
    assert difference(np.asarray(keras.ops.cast(layer(x), "float32")), single(x)) < 0.05


def test_context_survives_float16_on_a_large_map():
    """4,096 equal weights of 1 times values of 50 sum to more than float16 holds."""
    block = GlobalContext(dtype="float16")
    block.build((None, 64, 64, 16))
    randomise(block)
    block.attention.kernel.assign(np.zeros((1, 1, 16, 1)))
    x = np.full((1, 64, 64, 16), 50, "float16")
    assert difference(block.pool(x), np.full((1, 1, 1, 16), 50.0)) < 1e-3


ERRORS = {
    "filters not a multiple of groups": (lambda: GroupedConv2D(6, 3, groups=4), "filters=6, groups=4"),
    "no groups": (lambda: GroupedConv2D(6, 3, groups=0), "filters=6, groups=0"),
    "deconv filters": (lambda: GroupedConv2DTranspose(6, 4), "filters=6, groups=4"),
    "channels not a multiple of groups": (
        lambda: GroupedConv2D(6, 3, groups=3).build((None, 4, 4, 4)),
        "channels=4, groups=3",
    ),
    "deconv channels": (lambda: GroupedConv2DTranspose(6, 3).build((None, 4, 4, 4)), "channels=4, groups=3"),
    "even kernel": (lambda: GroupedConv2D(6, 4), "kernel_size=4"),
    "padding": (lambda: GroupedConv2D(6, 3, padding="full"), "padding='full'"),
    "mean and std": (lambda: PixelConv2D(6, 3).build((None, 4, 4, 1)), "channels=1, mean=.*, std=.*"),
    "ratio too small": (lambda: SmartModule(6, 0), "ratio=0"),
    "ratio not whole": (lambda: SmartModule(6, 2.5), "ratio=2.5"),
    "ratio of a bottleneck": (lambda: SmartBottleneck(4, 8, ratio=0).build((None, 4, 4, 4)), "ratio=0"),
}


@pytest.mark.parametrize("make,received", ERRORS.values(), ids=ERRORS)
def test_errors_end_in_what_was_received(make, received):
    with pytest.raises(ValueError, match=rf"\. Received: {received}$"):
        make()


def test_the_pixel_convolution_has_no_groups():
    with pytest.raises(TypeError, match="groups"):
        PixelConv2D(6, 3, groups=3)
