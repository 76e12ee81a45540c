import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import difference, random_pixels, randomise

from flpn_tf.layers import Bottleneck
from flpn_tf.models import FLPN, LPN, SimpleBaseline
from flpn_tf.models.bottlenecks import BLOCKS
from flpn_tf.models.parts import scaled
from flpn_tf.skeleton import COCO_17, MPII_16, Skeleton

SMALL = {"width": 0.25, "image_size": (64, 64)}


def small(**arguments):
    return FLPN(**SMALL | arguments)


@pytest.fixture(scope="module")
def network():
    return randomise(small())


def test_heatmaps_are_a_quarter_of_the_crop(network):
    assert network(random_pixels(2, 64, 64, 3)).shape == (2, 16, 16, 17)
    assert small(image_size=(96, 64), keypoints=5).output_shape == (None, 24, 16, 5)


def test_pixels_may_be_uint8(network):
    pixels = random_pixels(1, 64, 64, 3)
    expected = network(pixels)
    for same in (pixels.astype("uint8"), tf.constant(pixels, "uint8")):
        assert difference(network(same), expected) == 0


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_can_be_chosen(block):
    network = small(block=block)
    used = {type(layer) for layer in network.layers if isinstance(layer, Bottleneck)}
    assert used == {BLOCKS[block]}
    assert network.global_context == (block in ("smart", "lpn"))
    assert network(random_pixels(1, 64, 64, 3)).shape == (1, 16, 16, 17)


@pytest.mark.parametrize("block", ["smart", "standard"])
def test_the_context_can_be_chosen_for_every_block(block):
    context = {w.path for w in small(block=block, global_context=True).weights}
    without = {w.path for w in small(block=block, global_context=False).weights}
    assert without < context
    assert all("/context/" in path for path in context - without)


def test_removing_the_context_changes_the_heatmaps(network):
    """Else the numeric tests of this folder would not see a broken context block."""
    without = small(global_context=False)
    weights = {w.path: w.numpy() for w in network.weights}
    for weight in without.weights:
        weight.assign(weights[weight.path])
    pixels = random_pixels(1, 64, 64, 3)
    expected = np.asarray(network(pixels))
    assert np.abs(without(pixels) - expected).max() > 0.01 * np.abs(expected).max()


def test_ratios_are_per_stage():
    network = small(ratios=(1, 2, 4, 8))
    blocks = [network.get_layer(f"stage{stage}_block0") for stage in range(4)]
    assert [block.ratio for block in blocks] == [1, 2, 4, 8]
    assert small().ratios == (2, 8, 2, 2)
    assert small(block="standard").ratios is None


@pytest.mark.parametrize("width,channels", [(1, 64), (0.5, 32), (0.3, 16), (0.01, 8)])
def test_widths_are_multiples_of_eight(width, channels):
    assert scaled(64, width) == channels


@pytest.mark.parametrize(
    "arguments,names",
    [
        ({}, COCO_17.names),
        ({"keypoints": 3}, Skeleton.unnamed(3).names),
        ({"skeleton": MPII_16}, MPII_16.names),
        ({"skeleton": MPII_16.to_dict(), "keypoints": 16}, MPII_16.names),
    ],
)
def test_skeletons(arguments, names):
    network = small(**arguments)
    assert network.skeleton.names == names
    assert network.keypoints == network.output_shape[-1] == len(names)


NETWORKS = {
    "flpn": lambda: small(
        ratios=(1, 2, 2, 4), stem="pooled", head_filters=32, head_grouped=False, keypoints=3
    ),
    "flpn-block": lambda: small(block="mobilenetv3", skeleton=MPII_16, global_context=True),
    "simple_baseline": lambda: SimpleBaseline(50, (64, 32), block="ghost"),
    "lpn": lambda: LPN(50, (64, 32), keypoints=4),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_config_makes_the_same_network(make):
    network = make()
    again = type(network).from_config(network.get_config())
    assert again.get_config() == network.get_config()
    assert [(w.path, w.shape) for w in again.weights] == [(w.path, w.shape) for w in network.weights]


def test_keras_can_clone_it(network):
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    pixels = random_pixels(1, 64, 64, 3)
    assert difference(clone(pixels), network(pixels)) == 0


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(network, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        mixed = small()
    finally:
        keras.config.set_dtype_policy(before)
    mixed.set_weights(network.get_weights())
    pixels = random_pixels(1, 64, 64, 3)
    heatmaps = mixed(pixels)
    assert heatmaps.dtype == "float32"
    assert mixed.get_layer("stage0_block0").compute_dtype == policy.removeprefix("mixed_")
    assert difference(heatmaps, network(pixels)) < 0.1


ERRORS = {
    "depth": (lambda: FLPN(depth=34), "depth=34"),
    "block": (lambda: FLPN(block="resnext"), "block='resnext'"),
    "baseline block": (lambda: SimpleBaseline(block="resnext"), "block='resnext'"),
    "number of ratios": (lambda: FLPN(ratios=(2, 2)), r"ratios=\(2, 2\)"),
    "a ratio": (lambda: small(ratios=(2, 0, 2, 2)), "ratio=0"),
    "ratios of another block": (
        lambda: FLPN(ratios=(2, 2, 2, 2), block="ghost"),
        r"ratios=\(2, 2, 2, 2\), block='ghost'",
    ),
    "width": (lambda: FLPN(width=0), "width=0"),
    "stem": (lambda: FLPN(stem="dense"), "stem='dense'"),
    "image size": (lambda: FLPN(image_size=(250, 192)), r"image_size=\(250, 192\)"),
    "no image": (lambda: LPN(image_size=(0, 32)), r"image_size=\(0, 32\)"),
    "keypoints": (lambda: FLPN(skeleton=MPII_16, keypoints=17), "keypoints=17, a skeleton of 16"),
}


@pytest.mark.parametrize("make,received", ERRORS.values(), ids=ERRORS)
def test_errors_end_in_what_was_received(make, received):
    with pytest.raises(ValueError, match=rf"\. Received: {received}$"):
        make()
