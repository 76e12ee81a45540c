"""The feature maps of a network's stages."""

import re
from collections import Counter

import keras

from flpn_tf.errors import InputError
from flpn_tf.layers import Bottleneck

OWN_STAGES = r"(stage\d+)_block\d+"  # of this package's networks


def tapped(model: keras.Model, layers: str = OWN_STAGES) -> tuple[keras.Model, dict[str, str]]:
    """A model that gives the maps of the layers whose names match.

    Of this package's residual blocks it gives the branch's, before the residual sum; of other layers what
    they put out, where they run several times the first time.

    Args:
        model: functional.
        layers: regular expression of whole layer names; its first group, or where it has none the whole name,
            is the stage.

    Returns:
        A model of the same input whose outputs, in order, are maps (B, H, W, C), and layer name → stage.

    Raises:
        InputError: no regular expression, a model that is not functional, no layer that matches, or one
            whose output is no maps.
    """
    try:
        pattern = re.compile(layers)
    except re.error as error:
        raise InputError(f"--layers is no regular expression ({error}). Received: {layers}") from error
    if not (hasattr(model, "inputs") and hasattr(model, "outputs")):
        raise InputError(f"{model.name}: is no functional Keras model, so its layers have no known outputs")
    matches = [(layer, match) for layer in model.layers if (match := pattern.fullmatch(layer.name))]
    if not matches:
        names = ", ".join(_kinds(model))
        raise InputError(f"no layer's name matches; --layers must. Received: {layers}; there are {names}")
    outputs, stages = [], {}
    for layer, match in matches:
        maps = _Branch(layer)(layer.input) if isinstance(layer, Bottleneck) else layer.output
        shape = getattr(maps, "shape", ())
        if len(shape) != 4 or None in shape[1:]:
            raise InputError(f"{layer.name}: gives no maps of a fixed size. Received: {shape}")
        outputs.append(maps)
        stages[layer.name] = match.group(1) if pattern.groups and match.group(1) else layer.name
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    try:
        return keras.Model(inputs, outputs), stages
    except ValueError as error:  # a nested model's output is of another graph
        raise InputError(f"{', '.join(stages)}: cannot be looked into; leave them out by --layers") from error


class _Branch(keras.layers.Layer):
    """The branch of a residual block as a layer: the names of its parts are not unique in the network."""

    def __init__(self, block: Bottleneck):
        super().__init__(name=f"{block.name}_branch", dtype=block.dtype_policy)
        self.block = block
        self.built = True

    def call(self, inputs):
        return self.block.transform(inputs)


def _kinds(model: keras.Model) -> list[str]:
    """Its layers' names, numbers left out, the most frequent first."""
    kinds = Counter(re.sub(r"\d+", "#", layer.name) for layer in model.layers)
    return [name for name, _ in kinds.most_common(8)]
