"""Without depthwise convolutions of several outputs a channel the network is the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from converted import Artefacts
from helpers import assert_integers_only, difference, numpy_conv, random_maps
from tflite_graphs import gpu_refusals, read_graphs

from flpn_tf.layers.grouped_conv import conv2d, multiplier_one
from flpn_tf.runtime.backends import open_backend


def multipliers(path) -> list[int]:
    """Outputs a channel of each depthwise convolution."""
    operators = read_graphs(path)["serving_default"].operators
    pairs = [operator.inputs[:2] for operator in operators if operator.name == "DEPTHWISE_CONV_2D"]
    return [kernel.shape[-1] // image.shape[-1] for image, kernel in pairs]


@pytest.fixture(scope="module")
def several(network, crops, tmp_path_factory):
    """As `artefacts`, with such convolutions."""
    return Artefacts(network, crops, tmp_path_factory, "several", plain_depthwise=False)


@pytest.fixture(scope="module")
def single(network, crops, tmp_path_factory):
    """As `artefacts`, without."""
    return Artefacts(network, crops, tmp_path_factory, "single", plain_depthwise=True)


@pytest.mark.parametrize("strides, multiplier", [(1, 1), (1, 7), (2, 4)])
def test_convolution_is_the_same(strides, multiplier):
    maps, kernel = random_maps(2, 9, 8, 5), random_maps(3, 3, 1, 5 * multiplier)
    with multiplier_one():
        found = conv2d(keras.ops.convert_to_tensor(maps), kernel, strides, groups=5)
    assert difference(found, numpy_conv(maps, kernel, strides, groups=5)) < 1e-5


@pytest.mark.slow
def test_every_multiplier_is_one_where_it_is_asked_for(several, single, artefacts):
    assert max(multipliers(several["float32"])) > 1
    assert set(multipliers(artefacts["float32"])) == {1}
    assert max(multipliers(artefacts["int8"])) > 1  # it would be rounded once more
    assert set(multipliers(single["int8"])) == {1}


def test_gpu_refuses_only_the_cast_of_pixels(several, with_keypoints):
    """In both graphs; it has no depthwise convolution with several outputs a channel."""
    assert gpu_refusals(read_graphs(several["float32"])["serving_default"]) == {"CAST", "DEPTHWISE_CONV_2D"}
    graphs = read_graphs(with_keypoints["float32"])
    assert {key: gpu_refusals(graph) for key, graph in graphs.items()} == {
        "serving_default": {"CAST"},
        "keypoints": {"CAST"},
    }


def test_the_way_out_restores_the_default():
    def operations():
        function = tf.function(lambda maps, kernel: conv2d(maps, kernel, groups=5))
        graph = function.get_concrete_function(random_maps(1, 9, 8, 5), random_maps(3, 3, 1, 10)).graph
        return [operation.type for operation in graph.get_operations()]

    with pytest.raises(RuntimeError), multiplier_one():
        assert "Conv2D" in operations()
        raise RuntimeError
    assert "Conv2D" not in operations()


def test_float32_is_the_same(several, artefacts, crops):
    found, expected = (
        open_backend(path).predict(crops[:8]) for path in (artefacts["float32"], several["float32"])
    )
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


def test_int8_stays_whole_and_near(single, crops, expected):
    assert_integers_only(single["int8"])
    found = open_backend(single["int8"]).predict(crops[:8])
    assert np.linalg.norm(found - expected) < 0.15 * np.linalg.norm(expected)
