"""A network of quantisation-aware training becomes the int8 model that it has computed."""

import numpy as np
import pytest
import small_network
from helpers import assert_integers_only, difference, randomise
from keras import ops

from flpn_tf.convert import tflite
from flpn_tf.errors import InputError
from flpn_tf.layers.fake_quant import FakeQuant
from flpn_tf.runtime.backends import open_backend
from flpn_tf.runtime.interpreter import plain_interpreter

SIZE = (64, 64)


def smooth(count, seed):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 8, 8, 3)).astype("float32")
    return np.asarray(ops.image.resize(coarse, SIZE)).round().astype("uint8")


@pytest.fixture(scope="module")
def crops():
    return smooth(tflite.CALIBRATION_CROPS, 1)


@pytest.fixture(scope="module")
def network(crops):
    network = randomise(small_network.SmallNetwork(SIZE, None, name="small")).with_qat()
    for start in range(0, 64, 16):
        network(crops[start : start + 16].astype("float32"), training=True)
    return network


@pytest.fixture(scope="module")
def int8(network, crops, tmp_path_factory):
    return tflite.convert_file(network, "int8", tmp_path_factory.mktemp("qat") / "small.tflite", crops)


def test_int8_holds_integers_only(int8):
    assert_integers_only(int8)


def test_int8_has_the_ranges_found_in_training(network, int8):
    interpreter = plain_interpreter(int8)
    scales = np.array([t["quantization"][0] for t in interpreter.get_tensor_details()])
    ranges = [layer for layer in network._flatten_layers() if isinstance(layer, FakeQuant)]
    wanted = [float(layer.high - layer.low) / 255 for layer in ranges]
    missing = [scale for scale in wanted if np.abs(scales / scale - 1).min() > 1e-3]
    # TFLite fixes two tensors' ranges itself: a mean has its input's, and so has a sum's reciprocal path.
    assert len(missing) <= 4, missing
    heatmaps = network.get_layer("heatmaps").output_range
    expected = float(heatmaps.high - heatmaps.low) / 255
    assert interpreter.get_output_details()[0]["quantization"][0] == pytest.approx(expected, rel=1e-4)


def test_int8_computes_what_training_simulated(network, int8):
    pictures = smooth(16, 2)
    computed = open_backend(int8).predict(pictures)
    pixels = pictures.astype("float32")
    simulated, exact = (
        np.asarray(model(pixels, training=False)) for model in (network, network.with_qat(False))
    )
    level = open_backend(int8).spec.output_scale
    apart, lost = (np.abs(computed - other) / level for other in (simulated, exact))
    assert (apart < 0.1).mean() > 0.6
    assert (apart < 1.1).mean() > 0.98  # a rounding fell the other way
    assert (lost < 0.1).mean() < 0.2


def test_float_formats_hold_nothing_of_it(network, tmp_path):
    path = tflite.convert_file(network, "float32", tmp_path / "small.tflite")
    assert not any("QUANT" in op["op_name"] for op in plain_interpreter(path)._get_ops_details())
    pictures = smooth(2, 3)
    exact = network.with_qat(False)(pictures.astype("float32"), training=False)
    assert difference(open_backend(path).predict(pictures), exact) < 1e-4


def test_ranges_that_were_never_found_are_refused(network, crops):
    with pytest.raises(InputError, match="not trained since"):
        tflite.convert(network.with_qat(), "int8", crops)
