"""The `.tflite` files compute what the network computes and say how to use them."""

import numpy as np
import pytest
from helpers import assert_integers_only, difference, without_context
from tflite_graphs import read_graphs

from flpn_tf.convert import tflite
from flpn_tf.errors import InputError
from flpn_tf.runtime.backends import open_backend
from flpn_tf.runtime.interpreter import plain_interpreter
from flpn_tf.spec import PoseSpec

# What XNNPACK and the GPU delegate's documentation both list, and CAST for the uint8 input.
ALLOWED_OPS = {
    *("CAST", "PAD", "CONV_2D", "DEPTHWISE_CONV_2D", "CONCATENATION", "DEPTH_TO_SPACE", "RELU"),
    *("ADD", "SUB", "MUL", "EXP", "RSQRT", "SUM", "MEAN", "REDUCE_MAX", "DEQUANTIZE", "QUANTIZE"),
}
# The decoding's own, of floats.
DECODING_OPS = {
    *("TRANSPOSE", "RESHAPE", "SPLIT", "DIV", "LOG", "NEG", "MAXIMUM", "MINIMUM", "RELU_N1_TO_1"),
}


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def test_float32_equals_keras(artefacts, crops, expected):
    assert difference(open_backend(artefacts["float32"]).predict(crops[:8]), expected) < 1e-4


@pytest.mark.parametrize("to, bound", [("float16", 0.01), ("dynamic", 0.1), ("int8", 0.15)])
def test_compressed_formats_stay_near(artefacts, crops, expected, to, bound):
    assert relative_error(open_backend(artefacts[to]).predict(crops[:8]), expected) < bound


def test_int8_keeps_the_context(artefacts, network, crops, expected):
    quantised = open_backend(artefacts["int8"]).predict(crops[:8])
    lost = without_context(network, crops[:8].astype("float32"))
    assert relative_error(quantised, expected) < 0.5 * relative_error(quantised, lost)


def test_int8_holds_integers_only(artefacts):
    assert_integers_only(artefacts["int8"])


def test_int8_float_io_has_floats_at_its_ends_only(artefacts):
    names = tflite.float_tensors(artefacts["int8_float_io"].read_bytes())
    assert len(names) == 2
    interpreter = plain_interpreter(artefacts["int8_float_io"])
    assert interpreter.get_input_details()[0]["dtype"] == np.float32
    assert interpreter.get_output_details()[0]["dtype"] == np.float32


def test_int8_formats_agree(artefacts, crops):
    first, second = (open_backend(artefacts[to]).predict(crops[:4]) for to in ("int8", "int8_float_io"))
    assert np.abs(first - second).max() < 1e-5


@pytest.mark.parametrize("to", ["float32", "float16", "int8"])
def test_graphs_are_static_and_made_of_phone_ops(with_keypoints, to):
    graphs = read_graphs(with_keypoints[to])
    allowed = {"serving_default": ALLOWED_OPS, "keypoints": ALLOWED_OPS | DECODING_OPS}
    assert graphs.keys() == allowed.keys()
    for signature, graph in graphs.items():
        assert {operator.name for operator in graph.operators} <= allowed[signature]
        for tensor in graph.tensors:
            assert len(tensor.shape) <= 4, tensor
            assert tensor.static, tensor


def test_batch_norm_and_pixel_normalisation_are_folded_away(artefacts, network):
    """MUL, SUB and ADD are left only in the context blocks and residual sums."""
    names = [op["op_name"] for op in plain_interpreter(artefacts["float32"])._get_ops_details()]
    blocks = sum(layer.name.startswith("stage") for layer in network.layers)
    per_context = {"MUL": 6, "SUB": 2, "ADD": 3, "DIV": 0}  # 3 ADD: epsilon, shift, context
    residual = {"ADD": 1}
    for op, count in per_context.items():
        assert names.count(op) == blocks * (count + residual.get(op, 0)), op


@pytest.mark.parametrize("to, dtypes", [("float16", ("uint8", "float32")), ("int8", ("uint8", "uint8"))])
def test_spec_travels_inside(artefacts, network, to, dtypes):
    spec = PoseSpec.read_from_tflite(artefacts[to])
    assert (spec.input_dtype, spec.output_dtype) == dtypes
    assert (spec.input_height, spec.input_width) == network.image_size
    assert spec.name == f"small_{to}"
    assert spec.skeleton == network.skeleton
    assert spec.weights_sha256 == network.weights_sha256()
    assert spec.architecture["width"] == network.width


def test_signature_is_named(artefacts):
    signatures = plain_interpreter(artefacts["float16"]).get_signature_list()
    assert signatures == {"serving_default": {"inputs": ["image"], "outputs": ["heatmaps"]}}


@pytest.mark.parametrize(
    "to, given, message",
    [
        ("float64", None, "must be one of"),
        ("int16x8", None, "int16x8"),
        ("int8", None, "Received: 0"),
        ("int8", tflite.CALIBRATION_CROPS - 1, "calibration crops"),
    ],
)
def test_refusals(network, crops, to, given, message):
    with pytest.raises(InputError, match=message):
        tflite.convert(network, to, None if given is None else crops[:given])
