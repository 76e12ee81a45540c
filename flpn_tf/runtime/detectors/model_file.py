"""A detector's file behind one interface: named tensors in, named arrays out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from flpn_tf.errors import InputError


@dataclass(frozen=True)
class Tensor:
    """An input of a network.

    Attributes:
        name: as in the file.
        shape: None for a side that is not fixed.
        dtype: as numpy calls it.
        scale: of integers; 0 where they have none. A value is (integer - zero point) · scale.
        zero_point: of integers.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype
    scale: float = 0.0
    zero_point: int = 0

    def __str__(self) -> str:
        return f"{self.name} {shape_text(self.shape)} {self.dtype}"


@dataclass(frozen=True)
class Output:
    """An output of a network: its name and what it gave."""

    name: str
    value: np.ndarray

    def __str__(self) -> str:
        return f"{self.name} {shape_text(self.value.shape)}"


class ModelFile(Protocol):
    """A network that has been loaded."""

    path: Path
    inputs: Sequence[Tensor]

    def run(self, values: Sequence[np.ndarray]) -> list[Output]:
        """One value an input → the outputs, integers with a scale as float32.

        Raises:
            InputError: the runtime fails on it.
        """


def open_model_file(path: str | Path, threads: int = 1) -> ModelFile:
    """Loads a `.tflite` or `.onnx` file.

    Raises:
        InputError: another kind of file, none, one that does not load; or onnxruntime is not installed.
    """
    path = Path(path)
    if path.suffix not in (".tflite", ".onnx"):
        raise InputError(f"A detector is a .tflite or .onnx file. Received: {path}")
    if not path.is_file():
        raise InputError(f"There is no such detector. Received: {path}")
    if path.suffix == ".onnx":
        from flpn_tf.runtime.detectors.onnx_file import OnnxFile

        return OnnxFile(path, threads)
    from flpn_tf.runtime.detectors.litert_file import LiteRTFile

    return LiteRTFile(path, threads)


def shape_text(shape: Sequence[int | None]) -> str:
    """``(1, ?, 4)``."""
    return f"({', '.join('?' if side is None else str(side) for side in shape)})"
