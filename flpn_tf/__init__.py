"""flpn_tf: human poses on phones; train, check, compress and ship them.

Importing this package imports neither TensorFlow nor Keras: `FLPN`, the estimators and `Skeleton`
are fetched when first used, and the Keras classes are registered as soon as Keras is imported.
"""

from importlib import import_module

from flpn_tf import keras_registration

__version__ = "0.1.0"

_HOME = {
    "FLPN": "flpn_tf.models",
    "PoseEstimator": "flpn_tf.runtime.estimator",
    "RemoteEstimator": "flpn_tf.runtime.remote",
    "Skeleton": "flpn_tf.skeleton",
}

__all__ = ["FLPN", "PoseEstimator", "RemoteEstimator", "Skeleton", "__version__"]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'flpn_tf' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if name != "FLPN" or not error.name or error.name.startswith(__name__):
            raise
        raise ModuleNotFoundError(
            f"{name} needs {error.name}; install it with: pip install 'flpn-tf[train]'", name=error.name
        ) from error


def __dir__():
    return sorted({*globals(), *__all__})


keras_registration.install()
