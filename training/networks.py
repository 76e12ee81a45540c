"""From a config to a network."""

import contextlib

import keras

from flpn_tf.errors import InputError
from flpn_tf.models import FLPN, LPN, SimpleBaseline
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.training.config import ModelConfig


def build_model(config: ModelConfig, skeleton) -> PoseNetwork:
    """The network of a config; its ValueErrors become one-line InputErrors."""
    arguments = {"depth": config.depth, "image_size": config.image_size, "skeleton": skeleton}
    if config.block is not None:
        arguments["block"] = config.block
    try:
        if config.network == "simple_baseline":
            return SimpleBaseline(**arguments)
        if config.network == "lpn":
            return LPN(**arguments)
        if config.block in (None, "smart"):
            arguments["ratios"] = config.ratios
        return FLPN(width=config.width, head_filters=config.head_filters, **arguments)
    except ValueError as error:
        raise InputError(f"model: {error}") from error


@contextlib.contextmanager
def precision(policy: str):
    """Layers built meanwhile compute in this Keras dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def freeze_batch_norm(model: keras.Model) -> None:
    """Makes every batch norm of a model keep its gain, offset and statistics in training."""
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
