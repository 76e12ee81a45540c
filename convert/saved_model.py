"""Keras network → SavedModel."""

import shutil
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from flpn_tf.errors import InputError
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.spec import SPEC_FILE


def write_saved_model(network: PoseNetwork, folder, batch_size=None, input_dtype=tf.uint8) -> None:
    """Writes the network with one signature, `serving_default`: `image` (B, H, W, 3) → `heatmaps`.

    Args:
        folder: is created, or overwritten.
        batch_size: None serves any batch; a number makes the shapes static, as converters need them.
        input_dtype: uint8, or float32 (0–255) where the graph is going to be quantised.
    """
    height, width = network.image_size

    def heatmaps(image):
        return {"heatmaps": network(tf.cast(image, tf.float32), training=False)}

    # Not tf.saved_model.save: it does not see Keras 3's variables as constants a converter may freeze.
    archive = keras.export.ExportArchive()
    archive.track(network)
    signature = [tf.TensorSpec((batch_size, height, width, 3), input_dtype, name="image")]
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
        write_saved_model(network, partial)
        assets = partial / "assets"
        assets.mkdir(exist_ok=True)
        (assets / SPEC_FILE).write_text(network.pose_spec(name or output.name).to_json())
        partial.chmod(0o755)  # mkdtemp's folders are private
        partial.replace(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return output
