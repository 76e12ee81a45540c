"""A wider network that computes what a narrower one does (Net2Net, Chen et al. 2016), to train on from."""

import numpy as np
from keras import ops

from flpn_tf.errors import InputError
from flpn_tf.layers import ConvNorm, GlobalContext, GroupedConv2D, SmartBottleneck
from flpn_tf.models.flpn import FLPN


def widen(network: FLPN, width: float, seed: int = 0) -> FLPN:
    """An FLPN of `width` with the function of `network`, to float32's rounding.

    Every channel stands several times, and what reads it takes a random share from each copy; the shares
    of the copies add up to 1, and that they differ lets training drive the copies apart. Arguments other
    than the width are those of `network`; of one that computes as int8 would, it is the float network.

    Args:
        network: FLPN of smart or ghost blocks.
        width: above that of `network`.
        seed: of the shares.

    Raises:
        InputError: other blocks, or a width at which a layer's channels are no multiple of the narrow one's.
    """
    wide = FLPN.from_config(network.get_config() | {"width": width, "qat": False})
    random = np.random.default_rng(seed)
    origin = np.arange(network.input_shape[-1])
    try:
        for ours, theirs in zip(wide.layers, network.layers, strict=True):
            if isinstance(ours, SmartBottleneck):
                origin = _block(ours, theirs, origin, random)
            elif isinstance(ours, ConvNorm):
                origin = _unit(ours, theirs, origin, random)
            elif isinstance(ours, GroupedConv2D):
                origin = _convolution(ours, theirs, origin, random)
            elif ours.weights:
                raise _Unlike
    except _Unlike:
        raise InputError(
            "only an FLPN of smart or ghost blocks can be widened, to widths that multiply the channels of "
            "each layer by a whole number. "
            f"Received: width {network.width} to {width}, block {network.block!r}"
        ) from None
    return wide


class _Unlike(Exception):
    """The two layers are none whose channels can be paired."""


# Each takes our layer, theirs and `origin`, which of their channels each input channel is a copy of, as whole
# numbers (C,), and returns the same of the outputs; each raises `_Unlike`.


def _block(ours, theirs, origin, random):
    inputs = origin
    for layer, source in zip(ours.branch, theirs.branch, strict=True):
        if isinstance(layer, ConvNorm):
            origin = _unit(layer, source, origin, random)
        elif isinstance(layer, GlobalContext):
            _context(layer, source, origin, random)
        else:
            origin = _smart(layer, source, origin, random)
    if ours.shortcut is not None:
        _unit(ours.shortcut, theirs.shortcut, inputs, random, outputs=origin)
    elif not np.array_equal(inputs, origin):
        raise _Unlike
    return origin


def _smart(ours, theirs, origin, random):
    primary = _unit(ours.primary, theirs.primary, origin, random)
    if ours.cheap is None:
        return primary
    cheap = _unit(ours.cheap, theirs.cheap, primary, random)
    origin = np.concatenate([primary, theirs.primary.conv.filters + cheap])[: ours.filters]
    if set(origin) != set(range(theirs.filters)):
        raise _Unlike
    return origin


def _context(ours, theirs, origin, random):
    _convolution(ours.attention, theirs.attention, origin, random)
    hidden = _convolution(ours.squeeze, theirs.squeeze, origin, random)
    ours.gain.assign(_numpy(theirs.gain)[hidden])
    ours.shift.assign(_numpy(theirs.shift)[hidden])
    _convolution(ours.expand, theirs.expand, hidden, random, outputs=origin)


def _unit(ours, theirs, origin, random, outputs=None):
    origin = _convolution(ours.conv, theirs.conv, origin, random, outputs)
    for weight, source in zip(ours.norm.weights, theirs.norm.weights, strict=True):
        weight.assign(_numpy(source)[origin])
    return origin


def _convolution(ours, theirs, origin, random, outputs=None):
    """Any of the grouped convolutions; `outputs` asks for an answer, of one that has a single group."""
    kernel, bias = _numpy(theirs.kernel), getattr(ours, "bias", None)
    channels, each = kernel.shape[-2], theirs.filters // theirs.groups  # of one of their groups
    inputs = origin.reshape(ours.groups, -1)
    group = inputs[:, 0] // channels  # that each of ours reads
    if (inputs // channels != group[:, None]).any():
        raise _Unlike
    if outputs is None:
        outputs = _spread(group, ours.filters // ours.groups, each)
    inputs = np.repeat(inputs % channels, ours.filters // ours.groups, axis=0)  # (our filters, our channels)
    share, row = random.random(inputs.shape), np.arange(ours.filters)[:, None]
    of_all_copies = np.zeros((ours.filters, channels))
    np.add.at(of_all_copies, (row, inputs), share)
    if not of_all_copies.all():  # one of their channels is not read
        raise _Unlike
    share = (share / of_all_copies[row, inputs]).T.astype("float32")
    ours.kernel.assign(kernel[:, :, inputs.T, outputs] * share)
    if bias is not None:
        bias.assign(_numpy(theirs.bias)[outputs])
    return outputs


def _spread(group, our_each, each):
    """Their outputs in our order, each as often: of all our groups that read one of theirs, in turn."""
    number, count = np.unique(group, return_counts=True)
    if (np.diff(group) < 0).any() or len(set(count)) > 1 or count[0] * our_each % each:
        raise _Unlike
    size = count[0] * our_each
    return np.add.outer(number * each, np.arange(size) * each // size).ravel()


def _numpy(weight):
    return np.array(ops.convert_to_numpy(weight))
