"""A detector in a `.tflite` file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.detectors.model_file import Output, Tensor
from flpn_tf.runtime.interpreter import open_interpreter


class LiteRTFile:
    """Implements `ModelFile`.

    Raises:
        InputError: the runtime refuses the file.
    """

    def __init__(self, path: Path, threads: int):
        self.path = path
        self._interpreter = open_interpreter(path, threads)
        self._places = [detail["index"] for detail in self._interpreter.get_input_details()]
        self._outputs = self._interpreter.get_output_details()
        self.inputs = [_tensor(detail) for detail in self._interpreter.get_input_details()]

    def run(self, values: Sequence[np.ndarray]) -> list[Output]:
        """See `ModelFile`."""
        try:
            for place, value in zip(self._places, values, strict=True):
                self._interpreter.set_tensor(place, value)
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"The TFLite runtime cannot run {self.path}: {reason}") from error
        return [Output(detail["name"], self._value(detail)) for detail in self._outputs]

    def _value(self, detail: dict) -> np.ndarray:
        value = self._interpreter.get_tensor(detail["index"])
        scale, zero_point = detail["quantization"]
        if scale == 0:
            return value
        return (value.astype(np.float32) - zero_point) * np.float32(scale)


def _tensor(detail: dict) -> Tensor:
    shape = tuple(None if side < 0 else int(side) for side in detail["shape_signature"])
    return Tensor(detail["name"], shape, np.dtype(detail["dtype"]), *detail["quantization"])
