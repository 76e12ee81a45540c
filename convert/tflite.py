"""Keras network → `.tflite` with `pose_spec.json` inside."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from flpn_tf.errors import GateError, InputError
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.presets import FORMATS
from flpn_tf.runtime.files import check_writable, write_atomically

INTEGER_FORMATS = ("int8", "int8_float_io")
# What the shipped model was calibrated with; fewer is refused.
CALIBRATION_CROPS = 200


def _representative(crops: np.ndarray):
    """Calibration samples; a black and a white pixel in the first make input scale 1, zero 0 exact."""
    first = crops[0].copy()
    first[0, 0], first[0, 1] = 0, 255
    for crop in (first, *crops[1:]):
        yield {"image": crop[np.newaxis].astype(np.float32)}


def float_tensors(model: bytes) -> list[str]:
    """Names of the float tensors of a `.tflite`: none in a true integer model."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # The default delegate would hide the tensors it takes over.
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    tensors = Interpreter(model_content=model, experimental_op_resolver_type=resolver).get_tensor_details()
    return [tensor["name"] for tensor in tensors if np.issubdtype(tensor["dtype"], np.floating)]


def _write_frozen(network: PoseNetwork, folder, input_dtype) -> None:
    """A SavedModel of batch 1 whose weights are constants.

    The converter reads Keras 3's variables wrongly from a concrete function (NaN) or leaves them variables
    (from a plain SavedModel); frozen first, there is nothing to misread, and converting takes a quarter
    of the time that an ExportArchive needs.
    """
    image = [tf.TensorSpec((1, *network.image_size, 3), input_dtype, name="image")]
    function = tf.function(
        lambda image: network(tf.cast(image, tf.float32), training=False), input_signature=image
    )
    module = tf.Module()
    module.frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    signature = tf.function(lambda image: {"heatmaps": module.frozen(image)[0]}, input_signature=image)
    tf.saved_model.save(module, folder, signatures={"serving_default": signature.get_concrete_function()})


def check_format(to: str) -> str:
    """Returns `to` if `convert` knows it.

    Raises:
        InputError: otherwise.
    """
    if to == "int16x8":
        raise InputError("int16x8 has no DEPTH_TO_SPACE kernel in TFLite, so FLPN's head cannot run in it")
    if to not in FORMATS:
        known = ", ".join(name for name in FORMATS if name != "int16x8")
        raise InputError(f"the format must be one of {known}. Received: {to!r}")
    return to


def convert(network: PoseNetwork, to: str, calibration: np.ndarray | None = None, name=None) -> bytes:
    """The network as `.tflite` bytes, batch 1, signature `serving_default`: `image` → `heatmaps`.

    Args:
        to: "float32", "float16" (weights), "dynamic" (int8 weights, float activations), "int8" (uint8 in
            and out) or "int8_float_io" (float32 0–255 in, float32 out).
        calibration: (N, H, W, 3) uint8 crops that set the integer formats' ranges.
        name: for the spec; the network's own by default.

    Raises:
        InputError: an unknown format, or no or too few calibration crops for an integer format.
        GateError: the converter left float tensors in an int8 model, or rescales its pixels.
    """
    check_format(to)
    integer = to in INTEGER_FORMATS
    if integer and (calibration is None or len(calibration) < CALIBRATION_CROPS):
        raise InputError(
            f"{to} needs {CALIBRATION_CROPS} calibration crops; give a data set with --calibrate. "
            f"Received: {0 if calibration is None else len(calibration)}"
        )
    with tempfile.TemporaryDirectory() as folder:
        _write_frozen(network, folder, tf.float32 if integer else tf.uint8)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
        if to != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if to == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if integer:
            converter.representative_dataset = lambda: _representative(calibration)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if to == "int8":
            converter.inference_input_type = converter.inference_output_type = tf.uint8
        model = converter.convert()
    return _with_spec(model, network, to, name)


def _with_spec(model: bytes, network: PoseNetwork, to: str, name) -> bytes:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    signature = interpreter.get_signature_runner("serving_default")
    image = signature.get_input_details()["image"]
    heatmaps = signature.get_output_details()["heatmaps"]
    if to == "int8" and image["quantization"] != (1.0, 0):
        raise GateError(f"uint8 pixels must enter unscaled. Received: {image['quantization']}")
    if to == "int8" and (names := float_tensors(model)):
        raise GateError(f"an int8 model must hold no float tensor. Received: {names}")
    scale, zero_point = heatmaps["quantization"]
    quantised = scale != 0
    spec = dataclasses.replace(
        network.pose_spec(name),
        input_dtype=np.dtype(image["dtype"]).name,
        output_dtype=np.dtype(heatmaps["dtype"]).name,
        output_scale=float(scale) if quantised else 1.0,
        output_zero_point=int(zero_point) if quantised else 0,
    )
    return spec.append_to_tflite(model)


def convert_file(network: PoseNetwork, to: str, output, calibration=None) -> Path:
    """`convert` into a file; its stem becomes the spec's name. Written whole or not at all."""
    output = check_writable(output, (".tflite",))
    write_atomically(output, convert(network, to, calibration, output.stem))
    return output
