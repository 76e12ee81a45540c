"""Reading `.keras` files."""

import zipfile
from pathlib import Path

import keras

from flpn_tf.errors import InputError
from flpn_tf.models.pose_network import PoseNetwork


def load_network(path, compiled=False, kinds=(PoseNetwork,)) -> keras.Model:
    """A `.keras` file that holds one of this package's networks.

    Args:
        path: of the file.
        compiled: with the optimiser and its state, to train on; the loss class must be registered.
        kinds: the classes to accept.

    Raises:
        InputError: missing, not a Keras model, damaged, or a model of something else.
    """
    source = Path(path)
    if not source.is_file():
        raise InputError(f"{source}: there is no such file; give a .keras model")
    if source.suffix == ".tflite":
        raise InputError(f"{source}: is not a .keras model but converted already; give what it was made from")
    try:
        model = keras.models.load_model(source, compile=compiled)
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{source}: is not a .keras model ({str(error).splitlines()[0]})") from error
    if not isinstance(model, kinds):
        raise InputError(
            f"{source}: is a Keras model but no pose network of flpn_tf. Received: {type(model).__name__}"
        )
    return model
