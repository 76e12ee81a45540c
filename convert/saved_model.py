"""Keras network → SavedModel."""

import shutil
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from flpn_tf.errors import InputError
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.spec import SPEC_FILE


def _write(network: PoseNetwork, folder) -> None:
    """The network with one signature, `serving_default`: `image` uint8 (B, H, W, 3) → `heatmaps`."""

    def heatmaps(image):
        return {"heatmaps": network(tf.cast(image, tf.float32), training=False)}

    archive = keras.export.ExportArchive()
    archive.track(network)
    signature = [tf.TensorSpec((None, *network.image_size, 3), tf.uint8, name="image")]
    archive.add_endpoint("serving_default", heatmaps, input_signature=signature)
    archive.write_out(str(folder), verbose=False)


def export_saved_model(network: PoseNetwork, output, name=None) -> Path:
    """Exports a SavedModel that `PoseEstimator` and TensorFlow Serving load.

    `pose_spec.json` lies in its `assets` folder. The folder appears whole or not at all.

    Args:
        output: a folder that does not exist yet.

    Raises:
        InputError: `output` exists, or its parent cannot be written.
    """
    output = Path(output)
    if output.exists():
        raise InputError(f"{output}: exists already; choose a new folder or remove it")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        raise InputError(f"{output.parent}: cannot be written ({error.strerror})") from error
    try:
        _write(network, partial)
        assets = partial / "assets"
        assets.mkdir(exist_ok=True)
        (assets / SPEC_FILE).write_text(network.pose_spec(name or output.name).to_json())
        partial.chmod(0o755)  # mkdtemp's folders are private
        partial.replace(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return output
