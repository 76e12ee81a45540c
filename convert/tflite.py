"""Keras network → `.tflite` with `pose_spec.json` inside."""

import dataclasses
import tempfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from flpn_tf.convert.artefact_files import check_artefact, write_artefact
from flpn_tf.convert.keypoint_signature import add_keypoints
from flpn_tf.errors import GateError, InputError
from flpn_tf.layers.grouped_conv import multiplier_one
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.presets import FORMATS
from flpn_tf.spec import PoseSpec

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


def convert(
    network: PoseNetwork,
    to: str,
    calibration: np.ndarray | None = None,
    name=None,
    *,
    keypoints=False,
    plain_depthwise: bool | None = None,
) -> bytes:
    """The network as `.tflite` bytes, batch 1, signature `serving_default`: `image` → `heatmaps`.

    Args:
        to: "float32", "float16" (weights), "dynamic" (int8 weights, float activations), "int8" (uint8 in
            and out) or "int8_float_io" (float32 0–255 in, float32 out).
        calibration: (N, H, W, 3) uint8 crops that set the integer formats' ranges; those that
            quantisation-aware training has found are kept.
        name: for the spec; the network's own by default.
        keypoints: adds the signature `keypoints`, which decodes too: `image` → float32 (1, K, 3) rows
            (x, y, score) in crop pixels.
        plain_depthwise: no depthwise convolution has several outputs a channel, which the GPU delegate
            refuses and some NPUs run slowly, see `multiplier_one`; None: not in the integer formats, which
            would round the repeated channels once more.

    Raises:
        InputError: an unknown format, no or too few calibration crops for an integer format, or a network
            made for quantisation-aware training that was not trained.
        GateError: the converter left float tensors in an int8 model, or rescales its pixels.
    """
    check_format(to)
    integer = to in INTEGER_FORMATS
    plain_depthwise = not integer if plain_depthwise is None else plain_depthwise
    if integer and (calibration is None or len(calibration) < CALIBRATION_CROPS):
        raise InputError(
            f"{to} needs {CALIBRATION_CROPS} calibration crops; give a data set with --calibrate. "
            f"Received: {0 if calibration is None else len(calibration)}"
        )
    if network.qat and not integer:
        network = network.with_qat(False)
    if network.qat and not network.has_ranges:
        raise InputError(
            f"{network.name}: was made for quantisation-aware training and not trained since; train it"
        )
    with tempfile.TemporaryDirectory() as folder:
        with multiplier_one() if plain_depthwise else nullcontext():
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
    spec = _spec(model, network, to, name)
    return spec.append_to_tflite(add_keypoints(model, spec.codec) if keypoints else model)


def _spec(model: bytes, network: PoseNetwork, to: str, name) -> PoseSpec:
    """What to store with a converted network, whose tensors it checks."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    signature = interpreter.get_signature_runner("serving_default")
    image = signature.get_input_details()["image"]
    heatmaps = signature.get_output_details()["heatmaps"]
    if to == "int8" and image["quantization"] != (1.0, 0):
        raise GateError(f"uint8 pixels must enter unscaled. Received: {image['quantization']}")
    ends = {image["name"], heatmaps["name"]} if to == "int8_float_io" else set()
    if to in INTEGER_FORMATS and (names := set(float_tensors(model)) - ends):
        raise GateError(f"an {to} model must hold no float tensor inside. Received: {sorted(names)}")
    scale, zero_point = heatmaps["quantization"]
    quantised = scale != 0
    return dataclasses.replace(
        network.pose_spec(name),
        input_dtype=np.dtype(image["dtype"]).name,
        output_dtype=np.dtype(heatmaps["dtype"]).name,
        output_scale=float(scale) if quantised else 1.0,
        output_zero_point=int(zero_point) if quantised else 0,
    )


def convert_file(network: PoseNetwork, to: str, output, calibration=None, **options) -> Path:
    """`convert` into a file, see `write_artefact`; its stem becomes the spec's name."""
    output = check_artefact(output)
    return write_artefact(output, convert(network, to, calibration, output.stem, **options))
