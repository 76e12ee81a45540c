"""From a config to a network."""

import contextlib
from pathlib import Path

import keras

from flpn_tf.errors import InputError
from flpn_tf.layers.fake_quant import fake_quantised
from flpn_tf.models import FLPN, LPN, SimpleBaseline
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.training.config import ModelConfig
from flpn_tf.training.config_file import load_config
from flpn_tf.training.run_config import CONFIG


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
        return FLPN(
            width=config.width,
            global_context=config.global_context,
            stem=config.stem,
            head_filters=config.head_filters,
            head_grouped=config.head_grouped,
            **arguments,
        )
    except ValueError as error:
        raise InputError(f"model: {error}") from error


def load_weights(path, config, skeleton) -> PoseNetwork:
    """The network of a file of weights alone, as `Model.save_weights` writes it.

    Args:
        path: the `.weights.h5`.
        config: YAML of the training config; by default `config.yaml` beside it.
        skeleton: of the network's heatmaps.

    Raises:
        InputError: no such file, no config, or weights of another network.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    config = config_of(path, config)
    if not config.is_file():
        raise InputError(
            f"{path}: weights alone do not say which network they are of; give its training config. "
            f"Received: {config}, which is not there"
        )
    settings = load_config(config)
    with fake_quantised(settings.qat):
        network = build_model(settings.model, skeleton)
    try:
        network.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(
            f"{path}: are no weights of the network in {config} with {len(skeleton)} joints "
            f"({str(error).splitlines()[0]})"
        ) from error
    return network


def config_of(path, config=None) -> Path:
    """The config of a file of weights: that given, or `config.yaml` beside it."""
    return Path(path).parent / CONFIG if config is None else Path(config)


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
