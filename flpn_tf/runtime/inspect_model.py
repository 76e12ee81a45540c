"""What is inside a `.tflite` file: operations, what XNNPACK takes of them, tensors, spec. No TensorFlow."""

import collections
import hashlib
import math
import zipfile
from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.interpreter import open_interpreter, plain_interpreter
from flpn_tf.spec import LABELS_FILE, SPEC_FILE, ZIP_ERRORS, PoseSpec

LARGEST = 5  # activations listed
_DELEGATE = "DELEGATE"  # the name of the operations that stand for what a delegate took


def pieces(interpreter) -> int:
    """How many stretches of the graph a delegate has taken; each costs a hand-over and back."""
    return len(_operations(interpreter)[1])


def inspect_tflite(path: str | Path) -> dict:
    """Reads a `.tflite` file; it need not be one of ours.

    Returns:
        json-ready: ``model``, ``size_mb`` (1e6 bytes), ``sha256`` of the file; ``operations``, a list of
        {"name", "dtype" (of the first output), "count", "delegated"}; ``delegate``: {"name", "operations" (of
        the plain graph, taken), "pieces", "remaining" (name → count)}; ``tensors``: {"count", "dtypes" (name
        → count), "float", "largest_activations": [{"name", "shape", "dtype", "kb"}…]}; ``inputs`` and
        ``outputs``: [{"name", "shape", "dtype", "scale", "zero_point"}…]; ``signatures`` as the runtime
        lists them; ``subgraphs``, of which the first is shown; ``pose_spec``, ``labels`` and
        ``weights_sha256``, None where the file has none.

    Raises:
        InputError: the runtime refuses the file, or its pose_spec.json is damaged.
    """
    path = Path(path)
    delegated = open_interpreter(path)
    # Allocating would add the kernels' scratch tensors to those of the file.
    plain = plain_interpreter(path)
    operations, taken_by = _operations(delegated)
    taken = [_taken(operations, piece) for piece in taken_by]
    tensors = {tensor["index"]: tensor for tensor in plain.get_tensor_details()}
    dtypes = collections.Counter(_dtype(tensor["dtype"]) for tensor in tensors.values())
    content = path.read_bytes()
    spec = PoseSpec.read_from_tflite(path) if SPEC_FILE.encode() in content else None
    return {
        "model": path.stem,
        "size_mb": len(content) / 1e6,
        "sha256": hashlib.sha256(content).hexdigest(),
        "operations": _counted(operations, set().union(*taken)),
        "delegate": {
            "name": "XNNPACK",
            "operations": sum(map(len, taken)),
            "pieces": len(taken),
            "remaining": _remaining(operations, set().union(*taken)),
        },
        "tensors": {
            "count": len(tensors),
            "dtypes": dict(dtypes.most_common()),
            "float": sum(np.issubdtype(tensor["dtype"], np.floating) for tensor in tensors.values()),
            "largest_activations": _largest(operations, tensors),
        },
        "inputs": [_port(tensor) for tensor in plain.get_input_details()],
        "outputs": [_port(tensor) for tensor in plain.get_output_details()],
        "signatures": plain.get_signature_list(),
        "subgraphs": plain.num_subgraphs(),
        "pose_spec": spec.to_dict() if spec else None,
        "labels": _labels(path),
        "weights_sha256": spec.weights_sha256 if spec else None,
    }


def _operations(interpreter) -> tuple[list[dict], list[dict]]:
    """Those of the file, in order, and those that stand for a delegate: it keeps the former listed."""
    details = interpreter._get_ops_details()
    kept = [operation for operation in details if operation["op_name"] != _DELEGATE]
    return kept, [operation for operation in details if operation["op_name"] == _DELEGATE]


def _taken(operations: list[dict], piece: dict) -> set[int]:
    """Indices of the operations in one piece: all between its outputs and its inputs."""
    maker = {tensor: operation for operation in operations for tensor in operation["outputs"].tolist()}
    given, wanted, found = set(piece["inputs"].tolist()), piece["outputs"].tolist(), set()
    while wanted:
        tensor = wanted.pop()
        operation = maker.get(tensor)
        if tensor in given or operation is None or operation["index"] in found:
            continue
        found.add(operation["index"])
        wanted += operation["inputs"].tolist()
    return found


def _counted(operations: list[dict], taken: set[int]) -> list[dict]:
    rows = {}
    for operation in operations:
        key = operation["op_name"], _dtype(operation["result_types"][0]) if operation["result_types"] else ""
        row = rows.setdefault(key, {"name": key[0], "dtype": key[1], "count": 0, "delegated": 0})
        row["count"] += 1
        row["delegated"] += operation["index"] in taken
    return sorted(rows.values(), key=lambda row: (-row["count"], row["name"], row["dtype"]))


def _remaining(operations: list[dict], taken: set[int]) -> dict[str, int]:
    names = [operation["op_name"] for operation in operations if operation["index"] not in taken]
    return dict(collections.Counter(names).most_common())


def _largest(operations: list[dict], tensors: dict[int, dict]) -> list[dict]:
    made = [
        tensors[index]
        for operation in operations
        if not _unpacks_weights(operation)
        for index in operation["outputs"].tolist()
    ]

    def size(tensor):
        return math.prod(tensor["shape"].tolist()) * np.dtype(tensor["dtype"]).itemsize

    return [
        {
            "name": tensor["name"],
            "shape": tensor["shape"].tolist(),
            "dtype": _dtype(tensor["dtype"]),
            "kb": size(tensor) / 1e3,
        }
        for tensor in sorted(made, key=size, reverse=True)[:LARGEST]
    ]


def _unpacks_weights(operation: dict) -> bool:
    """A float16 file stores weights only; each is widened by an operation of its own."""
    return operation["op_name"] == "DEQUANTIZE" and operation["operand_types"] == [np.float16]


def _port(tensor: dict) -> dict:
    scale, zero_point = tensor["quantization"]
    return {
        "name": tensor["name"],
        "shape": tensor["shape_signature"].tolist(),
        "dtype": _dtype(tensor["dtype"]),
        "scale": scale or None,
        "zero_point": zero_point if scale else None,
    }


def _labels(path: Path) -> list[str] | None:
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if LABELS_FILE not in archive.namelist():
                return None
            return archive.read(LABELS_FILE).decode("utf-8", "replace").splitlines()
    except ZIP_ERRORS as error:
        raise InputError(f"{path} is damaged: its {LABELS_FILE} cannot be unpacked ({error})") from error


def _dtype(kind) -> str:
    return np.dtype(kind).name
