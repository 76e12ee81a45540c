"""What each graph of a `.tflite` is made of, read from the file itself."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
_DTYPES = {code: name for name, code in vars(schema.TensorType).items() if name.isupper()}


@dataclass(frozen=True)
class Tensor:
    name: str
    dtype: str
    shape: tuple
    static: bool


@dataclass(frozen=True)
class Operator:
    name: str
    inputs: list[Tensor]


@dataclass(frozen=True)
class Graph:
    """One signature's graph: operators in order, and every tensor of it."""

    operators: list[Operator]
    tensors: list[Tensor]


def read_graphs(path) -> dict[str, Graph]:
    """Signature → its graph; an operator that is no builtin of TFLite is named "CUSTOM"."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(Path(path).read_bytes()))
    graphs = {}
    for signature in model.signatureDefs:
        part = model.subgraphs[signature.subgraphIndex]
        tensors = [_tensor(tensor) for tensor in part.tensors]
        operators = [
            Operator(
                _NAMES[model.operatorCodes[operator.opcodeIndex].builtinCode],
                [tensors[i] for i in operator.inputs if i >= 0],
            )
            for operator in part.operators
        ]
        graphs[signature.signatureKey.decode()] = Graph(operators, tensors)
    return graphs


def _tensor(tensor) -> Tensor:
    shape = () if tensor.shape is None else tuple(int(side) for side in tensor.shape)
    signature = () if tensor.shapeSignature is None else tensor.shapeSignature
    static = bool(np.all(np.asarray(signature) >= 0))
    return Tensor(tensor.name.decode(), _DTYPES[tensor.type], shape, static)


def gpu_refusals(graph: Graph) -> set[str]:
    """Names of the operators that the GPU delegate's own rules refuse, of those it knows by name.

    Restated from `tensorflow/lite/tools/versioning/gpu_compatibility.cc`. (`Analyzer.analyze` with
    `gpu_compatibility=True` calls any model compatible in TensorFlow 2.21, also one with TOPK_V2 or Flex.)
    """
    refused = set()
    for operator in graph.operators:
        if operator.name == "CAST":
            ok = operator.inputs[0].dtype in ("FLOAT32", "INT32")
        elif operator.name == "DEPTHWISE_CONV_2D":
            channels = operator.inputs[0].shape[-1]
            ok = channels in (1, operator.inputs[1].shape[-1])
        elif operator.name == "MUL" and len({len(given.shape) for given in operator.inputs}) == 1:
            first, second = (np.array(given.shape) for given in operator.inputs)
            ok = (first >= second).all() or (second >= first).all()
        elif operator.name in ("SUM", "MEAN", "REDUCE_MAX"):
            ok = operator.inputs[1].dtype == "INT32"
        else:
            ok = True
        if not ok:
            refused.add(operator.name)
    return refused
