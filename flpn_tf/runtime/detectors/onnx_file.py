"""A detector in an `.onnx` file."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.detectors.model_file import Output, Tensor

_SILENT = 4  # errors come as exceptions; warnings would stand before our own single line
_DTYPES = {"float": "float32", "double": "float64"}  # where numpy has another name


class OnnxFile:
    """Implements `ModelFile`.

    Raises:
        InputError: onnxruntime is not installed, or refuses the file.
    """

    def __init__(self, path: Path, threads: int):
        self.path = path
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise InputError(
                f"{path} needs {error.name}; install it with: pip install 'flpn-tf[onnx]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = _SILENT
        with _as_input_error(f"{path} cannot be opened as an ONNX model"):
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        self.inputs = [self._tensor(argument) for argument in self._session.get_inputs()]
        self._names = [argument.name for argument in self._session.get_outputs()]

    def run(self, values: Sequence[np.ndarray]) -> list[Output]:
        """See `ModelFile`."""
        feeds = {tensor.name: value for tensor, value in zip(self.inputs, values, strict=True)}
        with _as_input_error(f"ONNX Runtime cannot run {self.path}"):
            found = self._session.run(self._names, feeds)
        for name, value in zip(self._names, found, strict=True):
            if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
                raise InputError(
                    f"The output {name} of {self.path} holds no numbers. Received: {value!r:.80}"
                )
        return [Output(name, value) for name, value in zip(self._names, found, strict=True)]

    def _tensor(self, argument) -> Tensor:
        shape = tuple(side if isinstance(side, int) and side > 0 else None for side in argument.shape)
        name = argument.type.removeprefix("tensor(").removesuffix(")")
        try:
            return Tensor(argument.name, shape, np.dtype(_DTYPES.get(name, name)))
        except TypeError as error:
            raise InputError(
                f"The input {argument.name} of {self.path} takes no numbers. Received: {argument.type}"
            ) from error


@contextlib.contextmanager
def _as_input_error(what: str):
    """A block whose errors become InputError: onnxruntime's have no common base but Exception."""
    try:
        yield
    except Exception as error:
        raise InputError(f"{what}: {' '.join(str(error).split())}") from error
