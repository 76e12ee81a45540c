"""A wider network that computes what a narrower one does (Net2Net, Chen et al. 2016), to train on from."""

import numpy as np
from keras import ops

from flpn_tf.errors import InputError
from flpn_tf.layers import ConvNorm, GroupedConv2D, SmartBottleneck
from flpn_tf.models.flpn import FLPN


def widen(network: FLPN, width: float, seed: int = 0) -> FLPN:
    """An FLPN of smart blocks and `width` with the function of `network`, to float32's rounding.

    Every channel stands several times, and what reads it takes a random share from each copy; the shares
    of the copies add up to 1, and that they differ lets training drive the copies apart. Arguments other
    than the width are those of `network`; the ranges of quantisation-aware training are not taken.

    Raises:
        InputError: other blocks, or a width whose channels are not multiples of the narrow ones.
    """
    wide = FLPN.from_config(network.get_config() | {"width": width})
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
            "only an FLPN of smart blocks can be widened, to widths that multiply the channels of each layer "
            f"by a whole number. Received: width {network.width} to {width}, block {network.block!r}"
        ) from None
    return wide


class _Unlike(Exception):
    """The two layers are none whose channels can be paired."""


def _block(ours, theirs, origin, random):
    inputs = origin
    for layer, source in zip(ours.branch, theirs.branch, strict=True):
        if isinstance(layer, ConvNorm):
            origin = _unit(layer, source, origin, random)
        elif hasattr(layer, "attention"):
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
    """Gives `ours` the kernel of `theirs`; which channel of `theirs` each of its outputs is.

    Args:
        origin: the same of its inputs.
        outputs: the answer wanted, of a convolution in one group.
    """
    kernel = _numpy(theirs.kernel)
    channels, each = kernel.shape[-2], theirs.filters // theirs.groups
    our_channels, our_each = ours.kernel.shape[-2], ours.filters // ours.groups
    inputs = origin.reshape(ours.groups, our_channels)
    group = inputs[:, 0] // channels
    if our_each % each or our_channels % channels or (inputs // channels != group[:, None]).any():
        raise _Unlike
    if outputs is None:
        outputs = np.add.outer(group * each, np.arange(our_each) * each // our_each).ravel()
    inputs = np.repeat(inputs % channels, our_each, axis=0)  # (our filters, our channels a group)
    share = random.random(inputs.shape)
    same = inputs[:, :, None] == inputs[:, None, :]
    share /= (same * share[:, None, :]).sum(axis=-1)
    ours.kernel.assign(kernel[:, :, inputs.T, outputs] * share.T.astype("float32"))
    if getattr(ours, "bias", None) is not None:
        ours.bias.assign(_numpy(theirs.bias)[outputs])
    return outputs


def _numpy(weight):
    return np.array(ops.convert_to_numpy(weight))
