"""Parameters and FLOPs of a Keras model, in three named conventions."""

from dataclasses import dataclass
from math import prod

import keras

from flpn_tf.layers import GroupedConv2D, GroupedConv2DTranspose

_DECONVS = (GroupedConv2DTranspose, keras.layers.Conv2DTranspose)
# A dense layer is a 1×1 convolution over whatever positions its input has.
_CONVS = (GroupedConv2D, keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense, *_DECONVS)


@dataclass(frozen=True)
class Complexity:
    """Size and cost of one network at one input size.

    All three counts run over the convolutions and dense layers; the weighted sum and the layer norm
    of the global-context block and the gate of squeeze-and-excitation stand outside.

    Attributes:
        params: trainable parameters.
        non_trainable: the others (batch-norm statistics).
        macs: true multiply-adds; a transposed convolution costs its weights × *input* positions.
        thop: as the `thop` counter does: weights × *output* positions, so 4 × for a stride-2
            transposed convolution, plus 2 × the outputs of each batch norm, plus a bias's outputs.
        hrnet: the same weight sum without batch norm and bias, as HRNet's code counts; its papers
            print it divided by 1024³.
    """

    params: int
    non_trainable: int
    macs: int
    thop: int
    hrnet: int


def _shape_in(layer):
    config = layer.get_build_config() or {}
    shape = config.get("input_shape")
    if shape is None or None in shape[1:]:
        raise ValueError(f"the model must be built on a fixed size. Received: {layer.path} built on {shape}")
    return tuple(shape)


def _positions(shape):
    return prod(shape[1:-1])


def measure(model: keras.Model) -> Complexity:
    """Counts one forward pass of one image.

    Args:
        model: a built, channels-last Keras model with fixed (H, W) whose layers each run once.

    Raises:
        ValueError: a convolution of the model was never built, or on an open size.
    """
    macs = thop = hrnet = 0
    # `Model.layers` stops at the first level, and Keras has no public way further down.
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, keras.layers.BatchNormalization):
            thop += 2 * prod(_shape_in(layer)[1:])
        elif isinstance(layer, _CONVS):
            shape_in = _shape_in(layer)
            shape_out = layer.compute_output_shape(shape_in)
            weights = prod(layer.kernel.shape)
            where = shape_in if isinstance(layer, _DECONVS) else shape_out
            macs += weights * _positions(where)
            hrnet += weights * _positions(shape_out)
            thop += weights * _positions(shape_out)
            if getattr(layer, "bias", None) is not None:
                thop += prod(shape_out[1:])
    return Complexity(
        params=sum(prod(w.shape) for w in model.trainable_weights),
        non_trainable=sum(prod(w.shape) for w in model.non_trainable_weights),
        macs=macs,
        thop=thop,
        hrnet=hrnet,
    )
