"""Keras and TensorFlow, imported when a command needs them, quietly, or refused in one line."""

import importlib.util
import os

from flpn_tf.errors import InputError


def needs_keras() -> None:
    """Imports Keras, its backend, and TensorFlow where it is installed, without their notices.

    Raises:
        InputError: Keras or its backend is not installed.
    """
    from flpn_tf.runtime.native_stderr import discard_native_stderr

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        # The start-up notices, and those about a missing GPU, would stand before our one line.
        with discard_native_stderr():
            import keras

            on_tensorflow = keras.backend.backend() == "tensorflow"
            if on_tensorflow or importlib.util.find_spec("tensorflow"):
                import tensorflow

                # Beside another backend it would take the accelerators' memory.
                devices = tensorflow.config.list_physical_devices()
                shown = [d for d in devices if on_tensorflow or d.device_type == "CPU"]
                tensorflow.config.set_visible_devices(shown)
    except ModuleNotFoundError as error:
        raise InputError(
            f"this command needs {error.name}; install it with: pip install 'flpn-tf[train]'"
        ) from error


def needs_tensorflow(as_backend: bool = False) -> None:
    """Imports TensorFlow without its notices.

    Raises:
        InputError: it is not installed, or is not Keras's backend where `as_backend` asks for that.
    """
    needs_keras()
    needs_package("tensorflow")
    import keras

    if as_backend and keras.backend.backend() != "tensorflow":
        backend = keras.backend.backend()
        raise InputError(f"this command needs Keras's TensorFlow backend. Received: KERAS_BACKEND={backend}")


def needs_package(name: str) -> None:
    """Refuses where a package of the extra `train` is not installed, which it does not import.

    Raises:
        InputError: naming it.
    """
    if importlib.util.find_spec(name) is None:
        raise InputError(f"this command needs {name}; install it with: pip install 'flpn-tf[train]'")
