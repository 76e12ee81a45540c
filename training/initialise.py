"""Starting a run from a trained network, of the same joints or of others, or from a classifier."""

import sys

import numpy as np
from keras import ops

from flpn_tf.errors import InputError
from flpn_tf.models.classifier import Classifier, backbone_layers
from flpn_tf.models.flpn import FLPN
from flpn_tf.models.load import load_network
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.training.widen import widen


def initialise(model: PoseNetwork, path) -> None:
    """Gives `model` the weights of a `.keras` file; what it does not take is named on stderr.

    Of a pose network, joints meet by name: the channels of the last layer, one a joint, are taken for those
    that both have; the others keep their first random weights. A narrower FLPN is widened first (`widen`).
    Of a classifier, the layers of the backbone meet by name; the head keeps its first weights. The input size
    may differ.

    Raises:
        InputError: neither, one of other layers, or a narrower one that cannot be widened so.
    """
    source = load_network(path, kinds=(PoseNetwork, Classifier))
    if isinstance(source, Classifier):
        _take_backbone(model, source, path)
    else:
        wide = _as_wide(model, source, path)
        _take_all(model, wide, path)
        if wide is not source:
            _say(f"{path}: widened from width {source.width} to {wide.width}")


def _as_wide(model: PoseNetwork, source: PoseNetwork, path) -> PoseNetwork:
    """`source`, of the width of `model` if it is a narrower FLPN."""
    if not (isinstance(model, FLPN) and isinstance(source, FLPN) and source.width < model.width):
        return source
    try:
        return widen(source, model.width)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _take_backbone(model: PoseNetwork, source: Classifier, path) -> None:
    ours, theirs = backbone_layers(model), backbone_layers(source)
    if _shapes(ours) != _shapes(theirs):
        raise InputError(
            f"{path}: the classifier's backbone is not that of the config's network; give one of the same "
            "network, blocks and widths"
        )
    for name, layer in ours.items():
        layer.set_weights(theirs[name].get_weights())
    _say(
        f"{path}: takes the backbone of a classifier of {len(source.classes)} classes: {len(ours)} layers; "
        "the head starts anew"
    )


def _shapes(layers):
    return {name: [tuple(w.shape) for w in layer.weights] for name, layer in layers.items()}


def _take_all(model: PoseNetwork, source: PoseNetwork, path) -> None:
    weights, ours = (
        [np.array(ops.convert_to_numpy(weight)) for weight in network.plain_weights]
        for network in (source, model)
    )
    # The last layer's kernel (…, K) and bias (K,) differ with the joints.
    body = [w.shape for w in weights[:-2]] + [w.shape[:-1] for w in weights[-2:]]
    if body != [w.shape for w in ours[:-2]] + [w.shape[:-1] for w in ours[-2:]]:
        raise InputError(
            f"{path}: its layers are not those of the config's network; give a model of the same network, "
            "blocks and widths"
        )
    place = {name: index for index, name in enumerate(source.skeleton.names)}
    known = [(i, place[name]) for i, name in enumerate(model.skeleton.names) if name in place]
    for ours_last, theirs in zip(ours[-2:], weights[-2:], strict=True):
        here, there = (
            np.array(indices, int) for indices in (zip(*known, strict=True) if known else ((), ()))
        )
        ours_last[..., here] = theirs[..., there]
    for weight, value in zip(model.plain_weights, [*weights[:-2], *ours[-2:]], strict=True):
        weight.assign(value)
    new = [name for name in model.skeleton.names if name not in place]
    if new:
        _say(f"{path}: has no heatmaps for {', '.join(new)}; these start anew")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
