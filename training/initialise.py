"""Starting a run from a trained network, of the same joints or of others."""

import sys

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.models.load import load_network
from flpn_tf.models.pose_network import PoseNetwork


def initialise(model: PoseNetwork, path) -> None:
    """Gives `model` the weights of a `.keras` file.

    Joints meet by name: the channels of the last layer, one a joint, are taken for those that both have; the
    others keep their first random weights, and are named on stderr. The input size may differ.

    Raises:
        InputError: not a network, or one of other layers.
    """
    source = load_network(path)
    weights, ours = source.get_weights(), model.get_weights()
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
    model.set_weights([*weights[:-2], *ours[-2:]])
    new = [name for name in model.skeleton.names if name not in place]
    if new:
        print(f"{path}: has no heatmaps for {', '.join(new)}; these start anew", file=sys.stderr, flush=True)
