"""A second signature of a `.tflite`, `keypoints`: `image` → (1, K, 3) keypoints, over the same weights."""

import copy

import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from flpn_tf.codec import HeatmapCodec
from flpn_tf.convert.graph_decode import decode

SIGNATURE = "keypoints"


class _Shared:
    """A table that both graphs refer to, written once."""

    def __init__(self, table):
        self.table = table
        self.offset = None

    def Pack(self, builder):  # noqa: N802, the generated schema's name
        if self.offset is None:
            self.offset = self.table.Pack(builder)
        return self.offset


def add_keypoints(model: bytes, codec: HeatmapCodec) -> bytes:
    """The `.tflite` with a second graph: the operators of the first, then the decoding in float32.

    Both graphs refer to the same weights, tensors and operators; the first, with its signature, stays as
    it is.

    Args:
        model: one graph with the signature `serving_default`: `image` → `heatmaps`, of any number format.
        codec: of its heatmaps.
    """
    whole = _read(model)
    (signature,) = whole.signatureDefs
    (graph,) = whole.subgraphs
    heatmaps = signature.outputs[0].tensorIndex
    tensors, operators = [], []
    given = graph.tensors[heatmaps]
    if given.type != schema.TensorType.FLOAT32:
        heatmaps, tensors, operators = _dequantise(whole, graph, heatmaps)
    decoder = _read(_decoder(tuple(given.shape), codec))
    found = _append(whole, len(graph.tensors), decoder, heatmaps, tensors, operators)
    graph.tensors = [_Shared(tensor) for tensor in graph.tensors]
    graph.operators = [_Shared(operator) for operator in graph.operators]
    second = copy.copy(graph)
    second.name = SIGNATURE
    second.tensors = graph.tensors + tensors
    second.operators = graph.operators + operators
    second.outputs = [found]
    whole.subgraphs.append(second)
    named = copy.deepcopy(signature)
    named.signatureKey = named.outputs[0].name = SIGNATURE
    named.outputs[0].tensorIndex = found
    named.subgraphIndex = 1
    whole.signatureDefs.append(named)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(whole))


def _read(model: bytes):
    return flatbuffer_utils.read_model_from_bytearray(bytearray(model))


def _decoder(shape: tuple, codec: HeatmapCodec) -> bytes:
    """The decoding by itself as a float32 `.tflite`."""
    heatmaps = tf.TensorSpec(shape, tf.float32, name="heatmaps")
    function = tf.function(lambda heatmaps: decode(heatmaps, codec), input_signature=[heatmaps])
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]).convert()


def _dequantise(whole, graph, index: int) -> tuple[int, list, list]:
    """What makes floats of a tensor: the index of its output, and what to append to the graph."""
    tensor = schema.TensorT()
    tensor.name = b"heatmaps_float"
    tensor.shape = graph.tensors[index].shape
    tensor.type = schema.TensorType.FLOAT32
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 1 if graph.tensors[index].type == schema.TensorType.UINT8 else 2
    whole.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(whole.operatorCodes) - 1
    operator.inputs, operator.outputs = [index], [len(graph.tensors)]
    return len(graph.tensors), [tensor], [operator]


def _append(whole, first: int, decoder, heatmaps: int, tensors: list, operators: list) -> int:
    """Appends the decoder, its input being the tensor `heatmaps`; returns its output's index.

    Args:
        first: index of the first of `tensors` in its graph.
    """
    (part,) = decoder.subgraphs
    codes, buffers, start = len(whole.operatorCodes), len(whole.buffers), first + len(tensors)
    whole.operatorCodes.extend(decoder.operatorCodes)
    whole.buffers.extend(decoder.buffers)
    for tensor in part.tensors:
        tensor.buffer += buffers
    tensors.extend(part.tensors)
    moved = {index: start + index for index in range(len(part.tensors))}
    moved[part.inputs[0]] = heatmaps
    for operator in part.operators:
        operator.opcodeIndex += codes
        operator.inputs = [moved[index] for index in operator.inputs]
        operator.outputs = [moved[index] for index in operator.outputs]
        operators.append(operator)
    return moved[part.outputs[0]]
