"""Heatmaps from a `.tflite` file."""

from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.runtime.interpreter import open_interpreter
from flpn_tf.spec import PoseSpec


class TFLiteBackend:
    """Runs a static batch-1 `.tflite` that carries its `PoseSpec`.

    Args:
        path: the file.
        threads: for the runtime.

    Raises:
        InputError: not a TFLite model, no spec inside, or a spec that disagrees with the tensors.
    """

    def __init__(self, path: str | Path, threads: int = 1):
        self.spec = spec = PoseSpec.read_from_tflite(path)
        self._interpreter = open_interpreter(path, threads)
        self._input = _only(self._interpreter.get_input_details(), "input", path)
        self._output = _only(self._interpreter.get_output_details(), "output", path)
        _expect(path, "input", self._input, (1, spec.input_height, spec.input_width, 3), spec.input_dtype)
        shape = (1, spec.output_height, spec.output_width, len(spec.skeleton))
        _expect(path, "output", self._output, shape, spec.output_dtype)
        self._scale, self._zero_point = 1.0, 0
        if spec.output_dtype != "float32":
            self._scale, self._zero_point = self._output["quantization"]
            if self._zero_point != spec.output_zero_point or not np.isclose(
                self._scale, spec.output_scale, rtol=1e-5, atol=0
            ):
                raise InputError(
                    f"{path}: pose_spec.json gives the output scale {spec.output_scale} and zero point "
                    f"{spec.output_zero_point}. Received: {self._scale}, {self._zero_point} in the tensor"
                )

    def predict(self, crops: np.ndarray) -> np.ndarray:
        """``(N, H, W, 3)`` uint8 RGB → ``(N, h, w, K)`` float32 heatmaps."""
        heatmaps = np.empty((len(crops), *self._output["shape"][1:]), np.float32)
        for i in range(len(crops)):
            self._interpreter.set_tensor(self._input["index"], crops[i : i + 1].astype(self._input["dtype"]))
            self._interpreter.invoke()
            heatmaps[i] = self._interpreter.get_tensor(self._output["index"])[0]
        return (heatmaps - self._zero_point) * np.float32(self._scale)


def _only(details: list[dict], role: str, path) -> dict:
    if len(details) != 1:
        raise InputError(f"{path} must have one {role} tensor. Received: {len(details)}")
    return details[0]


def _expect(path, role: str, detail: dict, shape: tuple, dtype: str) -> None:
    found = (tuple(int(side) for side in detail["shape"]), np.dtype(detail["dtype"]).name)
    if found != (shape, dtype):
        raise InputError(
            f"{path}: pose_spec.json promises the {role} tensor {(shape, dtype)}. Received: {found}"
        )
