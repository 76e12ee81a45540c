"""Reading `.keras` files, and what to write into them."""

import os
from pathlib import Path

import keras

from flpn_tf.errors import InputError
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.presets import DEFAULT_MODEL, is_preset, weights_path
from flpn_tf.spec import ZIP_ERRORS


def network_path(path) -> Path:
    """The `.keras` file that a path, preset or alias means; an existing file comes first.

    Raises:
        InputError: neither a file nor a preset, or as `weights_path`.
    """
    source = Path(path)
    if os.path.isfile(source):  # noqa: PTH113, `Path.is_file` raises for a name too long
        return source
    if is_preset(path):
        return weights_path(path)
    raise InputError(
        f"{source}: there is no such file; give a .keras model, or a preset such as {DEFAULT_MODEL}"
    )


def load_network(path, compiled=False, kinds=(PoseNetwork,)) -> keras.Model:
    """A `.keras` file that holds one of this package's networks.

    Args:
        path: of the file, or a preset or alias.
        compiled: with the optimiser and its state, to train on; the loss class must be registered.
        kinds: the classes to accept.

    Raises:
        InputError: missing, not a Keras model, damaged, or a model of something else.
    """
    source = network_path(path)
    if source.suffix == ".tflite":
        raise InputError(f"{source}: is not a .keras model but converted already; give what it was made from")
    try:
        model = keras.models.load_model(source, compile=compiled)
    except (OSError, TypeError, *ZIP_ERRORS) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{source}: is not a .keras model ({reason})") from error
    if not isinstance(model, kinds):
        raise InputError(
            f"{source}: is a Keras model but no pose network of flpn_tf. Received: {type(model).__name__}"
        )
    return model


def bare(model: keras.Model) -> keras.Model:
    """A copy that was never compiled: whoever loads its file needs neither optimiser nor loss class."""
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy
