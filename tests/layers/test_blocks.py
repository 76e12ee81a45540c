"""Context block, squeeze-excite, smart module and bottlenecks against plain numpy."""

from math import ceil

import numpy as np
import pytest
from helpers import difference, numpy_conv, numpy_norm, random_maps, randomise

from flpn_tf.layers import GlobalContext, SmartBottleneck, SmartModule, SqueezeExcite
from flpn_tf.models.bottlenecks import BLOCKS


def relu(x):
    return np.maximum(x, 0)


def reference_unit(x, unit):
    """A `ConvNorm` at inference."""
    x = numpy_norm(numpy_conv(x, unit.conv.kernel, unit.conv.strides, unit.conv.groups), unit.norm)
    if unit.activation == "relu":
        return relu(x)
    return x * np.clip(x + 3, 0, 6) / 6 if unit.activation == "hard_swish" else x


def reference_context(x, block):
    """GCNet's equation, with a real softmax and a real layer norm."""
    x = np.asarray(x, "float64")
    attention, attention_bias, squeeze, squeeze_bias, expand, expand_bias = (
        np.asarray(w, "float64").reshape(w.shape[-2:] if len(w.shape) > 1 else w.shape)
        for layer in (block.attention, block.squeeze, block.expand)
        for w in (layer.kernel, layer.bias)
    )
    batch, height, width, channels = x.shape
    positions = x.reshape(batch, height * width, channels)
    logits = positions @ attention + attention_bias
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    context = (softmax * positions).sum(1)
    hidden = context @ squeeze + squeeze_bias
    mean, variance = hidden.mean(-1, keepdims=True), hidden.var(-1, keepdims=True)
    hidden = (hidden - mean) / np.sqrt(variance + 2**-14) * block.gain.numpy() + block.shift.numpy()
    return x + (relu(hidden) @ expand + expand_bias)[:, None, None]


def reference_excite(x, block):
    mean = np.asarray(x, "float64").mean((1, 2), keepdims=True)
    hidden = relu(numpy_conv(mean, block.squeeze.kernel) + block.squeeze.bias.numpy())
    return x * np.clip(numpy_conv(hidden, block.excite.kernel) + block.excite.bias.numpy() + 3, 0, 6) / 6


def reference_smart(x, module):
    intrinsic = reference_unit(x, module.primary)
    if module.ratio == 1:
        return intrinsic
    return np.concatenate([intrinsic, reference_unit(intrinsic, module.cheap)], -1)[..., : module.filters]


REFERENCES = {GlobalContext: reference_context, SqueezeExcite: reference_excite, SmartModule: reference_smart}


@pytest.mark.parametrize("reduction", [1 / 16, 1 / 4])
def test_global_context(reduction):
    block = GlobalContext(reduction)
    block.build((None, 6, 5, 48))
    randomise(block)
    x = random_maps(2, 6, 5, 48)
    expected = reference_context(x, block)
    assert difference(block(x), expected) < 1e-5
    assert difference(x, expected) > 0.01  # the context is not vanishing in this test


def test_global_context_holds_with_large_logits():
    block = GlobalContext()
    block.build((None, 4, 4, 16))
    randomise(block)
    block.attention.bias.assign([1000.0])
    assert np.isfinite(block(100 * random_maps(1, 4, 4, 16))).all()


def test_a_fresh_context_block_is_the_identity():
    x = random_maps(1, 4, 4, 32)
    assert difference(GlobalContext()(x), x) == 0


def test_squeeze_excite():
    block = SqueezeExcite()
    block.build((None, 6, 5, 12))
    randomise(block)
    x = random_maps(2, 6, 5, 12)
    assert difference(block(x), reference_excite(x, block)) < 1e-5


@pytest.mark.parametrize("activation", ["relu", None])
@pytest.mark.parametrize("filters,ratio", [(12, 1), (12, 2), (12, 3), (16, 8), (13, 3), (13, 8), (5, 8)])
def test_smart_module(filters, ratio, activation):
    module = SmartModule(filters, ratio, activation)
    module.build((None, 6, 5, 10))
    randomise(module)
    assert module.primary.conv.filters == ceil(filters / ratio)
    x = random_maps(2, 6, 5, 10)
    assert difference(module(x), reference_smart(x, module)) < 1e-5


@pytest.mark.parametrize("channels,strides", [(32, 1), (16, 1), (32, 2)])
@pytest.mark.parametrize("name", BLOCKS)
def test_bottlenecks(name, channels, strides):
    block = BLOCKS[name](16, 32, strides)
    block.build((None, 6, 5, channels))
    randomise(block)
    x = random_maps(2, 6, 5, channels)
    branch = x
    for layer in block.branch:
        branch = REFERENCES.get(type(layer), reference_unit)(branch, layer)
    assert (block.shortcut is None) == (channels == 32 and strides == 1)
    total = branch + (x if block.shortcut is None else reference_unit(x, block.shortcut))
    assert difference(block(x), total if name == "mobilenetv3" else relu(total)) < 1e-5
    assert difference(block.transform(x), branch) < 1e-5


def names_of(block):
    block.build((None, 4, 4, 8))
    return [layer.name for layer in block.branch]


def test_what_each_block_is_made_of():
    assert {name: names_of(block(8, 8)) for name, block in BLOCKS.items()} == {
        "smart": ["reduce", "depthwise", "expand", "context"],
        "standard": ["reduce", "spatial", "expand"],
        "ghost": ["reduce", "depthwise", "expand"],
        "mobilenetv3": ["reduce", "depthwise", "excite", "expand"],
        "lpn": ["reduce", "depthwise", "expand", "context"],
    }
    assert names_of(SmartBottleneck(8, 8, global_context=False)) == ["reduce", "depthwise", "expand"]
    assert names_of(BLOCKS["standard"](8, 8, global_context=True))[-1] == "context"
