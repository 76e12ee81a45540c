"""What each layer of a `.tflite` file loses: the layer alone as the file has it, all others in float.

TensorFlow's own QuantizationDebugger measures single operations of a second model that it calibrates for
this; here the file itself is cut, whatever its format.
"""

import copy
import re
from collections.abc import Iterable
from typing import NamedTuple

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from flpn_tf.models.pose_network import PoseNetwork


class LayerLoss(NamedTuple):
    """Of one layer run as in the file, from the float network's own input to it.

    Attributes:
        layer: of the network, as `stage2_block3/expand`; a block's own name is its sum and ReLU.
        sqnr_db: signal to quantisation noise of the layer's output.
        heatmaps_sqnr_db: of the heatmaps that the float rest of the network makes of it.
    """

    layer: str
    sqnr_db: float
    heatmaps_sqnr_db: float


class _Segment(NamedTuple):
    """Consecutive operations of one layer, so that nothing leaves it and comes back."""

    layer: str
    operations: list[int]


class _Graph:
    """A `.tflite` file's one graph.

    Attributes:
        operations: places of those that compute activations; those of constants, such as the float16
            weights' DEQUANTIZE, go along with whatever needs them.
    """

    def __init__(self, content: bytes):
        self.model = schema.ModelT.InitFromPackedBuf(content, 0)
        self.graph = self.model.subgraphs[0]
        self._maker, self.operations, self._constant = {}, [], set()
        computed = set(self.graph.inputs)
        for place, operation in enumerate(self.graph.operators):
            self._maker |= dict.fromkeys(map(int, operation.outputs), place)
            if computed & set(operation.inputs):
                computed |= set(operation.outputs)
                self.operations.append(place)
            else:
                self._constant.add(place)
        self._computed = computed

    def name(self, tensor: int) -> str:
        """Of a tensor, alike in every format: that of the last operation that was fused into it.

        What follows it, and a number at the end, depend on which constants have taken the same name.
        """
        if tensor == self.graph.inputs[0]:
            return "image"
        if tensor == self.graph.outputs[0]:
            return "heatmaps"
        return self.graph.tensors[tensor].name.decode().split(";")[0]

    def places(self) -> dict[str, int]:
        """Name → tensor, of those that are computed."""
        return {self.name(tensor): tensor for tensor in map(int, self._computed)}

    def ends(self, operations: list[int]) -> tuple[list[int], list[int]]:
        """The computed tensors that these operations take from outside, and those they give."""
        made, taken = (self._tensors(operations, end) for end in ("outputs", "inputs"))
        asked = self._tensors(set(self.operations) - set(operations), "inputs") | set(self.graph.outputs)
        return sorted(taken & self._computed - made), sorted(made & asked)

    def _tensors(self, operations: Iterable[int], end: str) -> set[int]:
        return {int(t) for place in operations for t in getattr(self.graph.operators[place], end)}

    def after(self, tensors: list[int]) -> list[int]:
        """The operations that depend on these tensors."""
        reached, found = set(tensors), []
        for place in self.operations:
            if reached & set(self.graph.operators[place].inputs):
                reached |= set(self.graph.operators[place].outputs)
                found.append(place)
        return found

    def cut(self, operations: list[int]) -> bytes:
        """A `.tflite` of these operations alone; its inputs and outputs are their `ends`."""
        makers = {self._maker.get(tensor) for tensor in self._tensors(operations, "inputs")}
        part = schema.SubGraphT()
        part.tensors, part.operators = [], []
        places, buffers = {}, [schema.BufferT()]  # the first is of all that have none

        def moved(tensor) -> int:
            if tensor < 0:  # an optional input that is not there
                return -1
            if tensor not in places:
                places[tensor] = len(part.tensors)
                new = copy.copy(self.graph.tensors[tensor])
                part.tensors.append(new)
                buffer = self.model.buffers[new.buffer]
                new.buffer = 0 if buffer.data is None else len(buffers)
                buffers.extend([] if buffer.data is None else [buffer])
            return places[tensor]

        for place in [*sorted(makers & self._constant), *operations]:
            operation = copy.copy(self.graph.operators[place])
            operation.inputs = [moved(int(tensor)) for tensor in operation.inputs]
            operation.outputs = [moved(int(tensor)) for tensor in operation.outputs]
            part.operators.append(operation)
        part.inputs, part.outputs = ([moved(t) for t in end] for end in self.ends(operations))
        model = schema.ModelT()
        model.version, model.operatorCodes = self.model.version, self.model.operatorCodes
        model.subgraphs, model.buffers = [part], buffers
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def layer_losses(
    network: PoseNetwork, reference: bytes, artefact: bytes, crops: np.ndarray
) -> list[LayerLoss]:
    """The layers of a converted network, those that cost the heatmaps most first.

    Args:
        network: that both files are of.
        reference, artefact: its float32 file, and the one in question.
        crops: (N, H, W, 3) uint8; eight say enough.
    """
    exact, coarse = _Graph(reference), _Graph(artefact)
    places = exact.places()
    plans = []
    for segment in _segments(coarse, network):
        inputs, outputs = coarse.ends(segment.operations)
        names = [coarse.name(tensor) for tensor in outputs]
        if all(name in places for name in [*map(coarse.name, inputs), *names]):
            rest = exact.after([places[name] for name in names])
            plans.append((segment, [*map(coarse.name, inputs)], names, rest))
    wanted = {name for _, inputs, outputs, _ in plans for name in [*inputs, *outputs]} | {"heatmaps"}
    wanted |= {exact.name(tensor) for *_, rest in plans for tensor in exact.ends(rest)[0]}
    values = _values(reference, {name: places[name] for name in wanted}, crops)
    losses = []
    for segment, inputs, outputs, rest in plans:
        found = _run(coarse.cut(segment.operations), [values[name] for name in inputs])
        after = found[outputs.index("heatmaps")] if "heatmaps" in outputs else None
        if after is None:
            known = values | dict(zip(outputs, found, strict=True))
            taken = [known[exact.name(tensor)] for tensor in exact.ends(rest)[0]]
            (after,) = _run(exact.cut(rest), taken)
        own = min(sqnr_db(values[name], part) for name, part in zip(outputs, found, strict=True))
        losses.append(LayerLoss(segment.layer, own, sqnr_db(values["heatmaps"], after)))
    return sorted(losses, key=lambda loss: loss.heatmaps_sqnr_db)


def sqnr_db(signal: np.ndarray, found: np.ndarray) -> float:
    """10·log10 of the signal's power over the power of what is wrong in `found`; inf where nothing is."""
    signal, found = np.asarray(signal, np.float64), np.asarray(found, np.float64)
    noise = ((found - signal) ** 2).sum()
    return float(10 * np.log10((signal**2).sum() / noise)) if noise else np.inf


def _segments(graph: _Graph, network: PoseNetwork) -> list[_Segment]:
    known = {layer.name for layer in network._flatten_layers(include_self=False, recursive=True)}
    names = [_layer(graph.name(graph.graph.operators[place].outputs[0]), known) for place in graph.operations]
    # What converts the pixels has no layer's name, nor has what makes the heatmaps.
    first = next(name for name in names if name)
    segments: list[_Segment] = []
    for place, name in zip(graph.operations, names, strict=True):
        before = segments[-1].layer if segments else first
        name = name or (first if before == first else network.layers[-1].name)
        if segments and before == name:
            segments[-1].operations.append(place)
        else:
            segments.append(_Segment(name, [place]))
    return segments


def _layer(tensor: str, known: set[str]) -> str:
    """`flpn_1/stage0_block0_1/expand_1/cheap_1/add` → `stage0_block0/expand`; empty where there is none."""
    parts = tensor.split("/")[1:]
    # The name scopes of a second call have a number behind them.
    parts = [part if part in known else re.sub(r"_\d+$", "", part) for part in parts]
    return "/".join([part for part in parts if part in known][:2])


def _values(model: bytes, tensors: dict[str, int], crops: np.ndarray) -> dict[str, np.ndarray]:
    """(N, …) of each tensor in float, for each crop."""
    interpreter = _open(model, keep=True)
    image = interpreter.get_input_details()[0]
    values = {name: [] for name in tensors}
    for crop in crops:
        interpreter.set_tensor(image["index"], crop[np.newaxis].astype(image["dtype"]))
        interpreter.invoke()
        for name, tensor in tensors.items():
            values[name].append(interpreter.get_tensor(tensor))
    return {name: np.stack(parts) for name, parts in values.items()}


def _run(model: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs in float, (N, …) each, of inputs in float, rounded to what the model takes."""
    interpreter = _open(model)
    outputs = interpreter.get_output_details()
    found = [[] for _ in outputs]
    for values in zip(*inputs, strict=True):
        for detail, value in zip(interpreter.get_input_details(), values, strict=True):
            interpreter.set_tensor(detail["index"], _stored(value, detail))
        interpreter.invoke()
        for parts, detail in zip(found, outputs, strict=True):
            scale, zero_point = detail["quantization"]
            value = interpreter.get_tensor(detail["index"]).astype(np.float64)
            parts.append((value - zero_point) * scale if scale else value)
    return [np.stack(parts) for parts in found]


def _stored(value: np.ndarray, detail: dict) -> np.ndarray:
    scale, zero_point = detail["quantization"]
    if not np.issubdtype(detail["dtype"], np.integer):
        return value.astype(detail["dtype"])
    limits = np.iinfo(detail["dtype"])
    rounded = np.rint(value / scale) + zero_point if scale else value
    return np.clip(rounded, limits.min, limits.max).astype(detail["dtype"])


def _open(model: bytes, keep: bool = False):
    interpreter = Interpreter(
        model_content=model,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=keep,
    )
    interpreter.allocate_tensors()
    return interpreter
