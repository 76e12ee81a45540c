"""The counters against arithmetic by hand on small networks of Keras's own layers."""

import keras
import pytest
from keras import layers

from flpn_tf.complexity import Complexity, measure
from flpn_tf.layers import GroupedConv2D, GroupedConv2DTranspose, SmartBottleneck


def network(*stack, shape=(8, 6, 4)):
    return keras.Sequential([keras.Input(shape), *stack])


def size(params, macs, thop, hrnet, non_trainable=0):
    return Complexity(params, non_trainable, macs, thop, hrnet)


# 8×6×4 in; each count spelled as weights × positions.
CASES = {
    "convolution": (
        [layers.Conv2D(10, 3, 2, padding="same", use_bias=False)],
        size(3 * 3 * 4 * 10, *[3 * 3 * 4 * 10 * (4 * 3)] * 3),
    ),
    "its bias costs its outputs in thop alone": (
        [layers.Conv2D(10, 1)],
        size(4 * 10 + 10, 40 * 48, 40 * 48 + 10 * 48, 40 * 48),
    ),
    "grouped": (
        [layers.Conv2D(6, 3, groups=2, use_bias=False)],
        size(3 * 3 * 2 * 6, *[3 * 3 * 2 * 6 * (6 * 4)] * 3),
    ),
    "ours, grouped": (
        [GroupedConv2D(6, 3, 2, groups=2)],
        size(3 * 3 * 2 * 6, *[3 * 3 * 2 * 6 * (4 * 3)] * 3),
    ),
    "depthwise": (
        [layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False)],
        size(3 * 3 * 4 * 2, *[3 * 3 * 4 * 2 * 48] * 3),
    ),
    "transposed": (
        [layers.Conv2DTranspose(5, 4, 2, padding="same", use_bias=False)],
        size(4 * 4 * 4 * 5, 320 * 48, 320 * (16 * 12), 320 * (16 * 12)),
    ),
    "ours, transposed and grouped": (
        [GroupedConv2DTranspose(6, 2)],
        size(4 * 4 * 2 * 6, 192 * 48, 192 * (16 * 12), 192 * (16 * 12)),
    ),
    "batch norm": ([layers.BatchNormalization()], size(8, 0, 2 * (8 * 6 * 4), 0, non_trainable=8)),
    "dense on a vector": (
        [layers.GlobalAveragePooling2D(), layers.Dense(7)],
        size(4 * 7 + 7, 28, 28 + 7, 28),
    ),
    "dense on a map": ([layers.Dense(7, use_bias=False)], size(28, *[28 * 48] * 3)),
    "no weights": ([layers.ReLU(), layers.MaxPooling2D()], size(0, 0, 0, 0)),
}


@pytest.mark.parametrize("stack,expected", CASES.values(), ids=CASES)
def test_counts(stack, expected):
    assert measure(network(*stack)) == expected


def test_layers_inside_layers_are_found():
    inner = network(layers.Conv2D(10, 1, use_bias=False))
    assert measure(network(inner)) == size(40, *[40 * 48] * 3)


def test_a_smart_bottleneck_by_hand():
    """4 → 8 → 16 channels on 8×6 striding to 4×3, ratio 2, no context."""
    before, after = 8 * 6, 4 * 3
    convolutions = [
        (4 * 4, before),  # intrinsic 1×1
        (9 * 4, before),  # cheap 3×3, one map each
        (9 * 8, after),  # depthwise
        (8 * 8, after),
        (9 * 8, after),
        (4 * 16, after),  # shortcut
    ]
    norms = [(4, before), (4, before), (8, after), (8, after), (8, after), (16, after)]
    weights = sum(count for count, _ in convolutions)
    cost = sum(count * positions for count, positions in convolutions)
    scaled = sum(2 * channels * positions for channels, positions in norms)
    channels = sum(channels for channels, _ in norms)
    block = SmartBottleneck(8, 16, 2, global_context=False)
    assert measure(network(block)) == size(weights + 2 * channels, cost, cost + scaled, cost, 2 * channels)


def test_an_open_size_is_refused():
    with pytest.raises(ValueError, match=r"Received: .*\(None, None, None, 4\)$"):
        measure(network(layers.Conv2D(3, 1), shape=(None, None, 4)))
