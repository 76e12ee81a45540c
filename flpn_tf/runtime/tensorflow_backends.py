"""Heatmaps from a `.keras` file or a SavedModel folder: the two that need TensorFlow or Keras."""

from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.spec import SPEC_FILE, PoseSpec

_CHUNK = 32  # crops a call: bounds the memory of a crowded photo
_TRAIN_PACKAGES = ("tensorflow", "keras", "jax", "yaml")


def missing_package(path, error: ModuleNotFoundError) -> Exception:
    """What to raise where a package that `path` needs is not installed; `error` itself of another package."""
    if (error.name or "").split(".")[0] not in _TRAIN_PACKAGES:
        return error
    return InputError(
        f"{path} needs {error.name}, which is not installed: run `pip install 'flpn-tf[train]'`, "
        "or use a .tflite model"
    )


def _in_chunks(run, crops: np.ndarray, chunk: int, empty_shape: tuple) -> np.ndarray:
    parts = [run(crops[i : i + chunk]) for i in range(0, len(crops), chunk)]
    return np.concatenate([np.zeros((0, *empty_shape), np.float32), *parts])


class KerasBackend:
    """Runs one of this package's networks.

    Args:
        network: a `.keras` file, or the network itself.

    Raises:
        InputError: Keras is missing, the file does not load, or it is no pose network.
    """

    def __init__(self, network):
        try:
            from flpn_tf.models.load import load_network

            self._network = load_network(network) if isinstance(network, str | Path) else network
        except ModuleNotFoundError as error:
            raise missing_package(network, error) from error
        self.spec: PoseSpec = self._network.pose_spec()
        self._compiled: set[int] = set()

    def predict(self, crops: np.ndarray) -> np.ndarray:
        """``(N, H, W, 3)`` uint8 RGB → ``(N, h, w, K)`` float32 heatmaps."""
        spec = self.spec
        return _in_chunks(
            self._predict,
            crops,
            _CHUNK,
            (spec.output_height, spec.output_width, len(spec.skeleton)),
        )

    def _predict(self, crops: np.ndarray) -> np.ndarray:
        # The compiled function: some seconds at the first call of each batch size, so these are few, then far
        # faster than calling the network.
        count = len(crops)
        fitting = [size for size in self._compiled if count <= size <= 4 * count]
        size = min(fitting, default=1 << (count - 1).bit_length())
        self._compiled.add(size)
        filled = np.zeros((size, *crops.shape[1:]), np.float32)
        filled[:count] = crops
        return self._network.predict_on_batch(filled)[:count]


class SavedModelBackend:
    """Runs a SavedModel folder with ``assets/pose_spec.json`` and a signature image → heatmaps.

    That is the one named `heatmaps`, or `serving_default` where there is none.

    Args:
        path: the folder.

    Raises:
        InputError: TensorFlow is missing, there is no spec, or no such signature.
    """

    def __init__(self, path: str | Path):
        spec_path = Path(path) / "assets" / SPEC_FILE
        try:
            self.spec = PoseSpec.from_json(spec_path.read_bytes(), str(spec_path))
        except OSError as error:
            raise InputError(
                f"The SavedModel {path} has no assets/{SPEC_FILE}: use one made by `flpn export`"
            ) from error
        try:
            import tensorflow as tf
        except ModuleNotFoundError as error:
            raise missing_package(path, error) from error
        try:
            self._loaded = tf.saved_model.load(str(path))
        except (ValueError, OSError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"TensorFlow cannot load the SavedModel {path}: {reason}") from error
        signatures = self._loaded.signatures
        self._signature = signatures.get("heatmaps") or signatures.get("serving_default")
        inputs = self._signature.structured_input_signature[1] if self._signature else {}
        if set(inputs) != {"image"} or set(self._signature.structured_outputs) != {"heatmaps"}:
            raise InputError(
                f"The SavedModel {path} needs the signature heatmaps or serving_default: image → heatmaps. "
                f"Received: {dict(signatures)}"
            )
        self._dtype = inputs["image"].dtype
        # A signature exported with a fixed batch runs in batches of that size only; 1 is what we export.
        self._chunk = inputs["image"].shape[0] or _CHUNK
        if inputs["image"].shape[0] not in (None, 1):
            raise InputError(
                f"The SavedModel {path} must take any batch or 1. Received: {inputs['image'].shape}"
            )
        self._constant = tf.constant

    def predict(self, crops: np.ndarray) -> np.ndarray:
        """``(N, H, W, 3)`` uint8 RGB → ``(N, h, w, K)`` float32 heatmaps."""
        spec = self.spec
        return _in_chunks(
            lambda part: self._signature(
                image=self._constant(part.astype(self._dtype.as_numpy_dtype), self._dtype)
            )["heatmaps"].numpy(),
            crops,
            self._chunk,
            (spec.output_height, spec.output_width, len(spec.skeleton)),
        )
