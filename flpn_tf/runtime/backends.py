"""One interface over the three kinds of model file."""

from pathlib import Path
from typing import Protocol

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.spec import PoseSpec


class Backend(Protocol):
    """A loaded model."""

    spec: PoseSpec

    def predict(self, crops: np.ndarray) -> np.ndarray:
        """``(N, H, W, 3)`` uint8 RGB → ``(N, h, w, K)`` float32 heatmaps."""


def open_backend(path, threads: int = 1) -> Backend:
    """Loads a `.tflite` file, a `.keras` file or a SavedModel folder.

    Args:
        path: what to load, or a `PoseNetwork`.
        threads: for the TFLite runtime; Keras and TensorFlow use their own setting.

    Raises:
        InputError: another kind of file, or one that does not load.
    """
    if not isinstance(path, str | Path):
        from flpn_tf.runtime.tensorflow_backends import KerasBackend

        return KerasBackend(path)
    path = Path(path)
    if path.suffix == ".tflite" and not path.is_dir():
        from flpn_tf.runtime.tflite_backend import TFLiteBackend

        return TFLiteBackend(path, threads)
    if path.suffix == ".keras" or path.is_dir():
        from flpn_tf.runtime import tensorflow_backends

        if path.is_dir():
            return tensorflow_backends.SavedModelBackend(path)
        return tensorflow_backends.KerasBackend(path)
    raise InputError(f"A model is a .tflite file, a .keras file or a SavedModel folder. Received: {path}")
