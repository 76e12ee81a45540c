"""`.keras` files of half the size: kernels in float16, for Keras to read as any other."""

import io
import json
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.models.load import bare
from flpn_tf.runtime.files import check_writable, write_atomically

# What Keras calls the members of its archives.
_METADATA, _WEIGHTS = "metadata.json", "model.weights.h5"


def save_half(model: keras.Model, path) -> Path:
    """Writes a network's architecture and weights, those of two dimensions or more in float16.

    Biases and batch norm's statistics stay float32: they are few, and a variance may be tiny or large.
    `keras.models.load_model` gives float32 variables. The optimiser is left out. The same weights give the
    same bytes with the same versions of Keras and HDF5, of networks that name each layer (FLPN does).

    Args:
        model: one that its class's `from_config` makes again.
        path: of the `.keras` file, written whole or not at all.

    Returns:
        `path`.

    Raises:
        InputError: a value that is no number in float16, or a path that cannot be written.
    """
    path = check_writable(path, (".keras",))
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.keras"
        bare(model).save(whole)
        with zipfile.ZipFile(whole) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    # The other thing it says is the hour.
    members[_METADATA] = json.dumps({"keras_version": keras.__version__}).encode()
    members[_WEIGHTS] = _halved(members[_WEIGHTS])
    try:
        write_atomically(path, _zipped(members))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def _halved(weights: bytes) -> bytes:
    """An HDF5 file with the same groups, attributes and datasets, these in half or single precision."""
    halved = io.BytesIO()
    # A new file: what is replaced in an old one keeps its place there.
    with h5py.File(io.BytesIO(weights)) as source, h5py.File(halved, "w") as target:
        target.attrs.update(source.attrs)

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                new = target.create_dataset(name, data=_half(name, item[()]))
            else:
                new = target.require_group(name)
            new.attrs.update(item.attrs)

        source.visititems(copy)
    return halved.getvalue()


def _half(name: str, value: np.ndarray) -> np.ndarray:
    if not np.issubdtype(value.dtype, np.floating):
        return value
    if np.ndim(value) < 2:
        return value.astype(np.float32)
    with np.errstate(over="ignore"):  # told below, with its name
        half = value.astype(np.float16)
    if not np.isfinite(half).all():
        wrong = value[~np.isfinite(half)].flat[0]
        raise InputError(f"{name}: holds a value that float16 has no number for. Received: {wrong}")
    return half


def _zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            # A `ZipInfo` has a fixed date. HDF5 leaves a third of such a file empty, so it is compressed.
            archive.writestr(zipfile.ZipInfo(name), member, zipfile.ZIP_DEFLATED)
    return content.getvalue()
