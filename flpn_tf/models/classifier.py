"""The backbone of a pose network as an image classifier, for pre-training."""

from itertools import takewhile

import keras

from flpn_tf.keras_registration import PACKAGE

_POSE_HEAD = "deconv0"  # its first layer
_CLASS_HEAD = "classes"


@keras.saving.register_keras_serializable(package=PACKAGE)
class Classifier(keras.Model):
    """A pose network up to its last stage, global average pooling, dense softmax.

    RGB pixels 0–255 (B, H, W, 3) → (B, classes) float32 probabilities. The layers of the backbone keep their
    names, so its weights go into any pose network that has the same: `flpn train --init`.

    Args:
        network: the pose network, whose weights and layers it takes over, or its serialised form.
        classes: the names of the classes, in the order of the probabilities.
    """

    def __init__(self, network, classes, **kwargs):
        if isinstance(network, dict):
            network = keras.saving.deserialize_keras_object(network)
        x = network.get_layer(_POSE_HEAD).input
        # Sums and probabilities in float32 under every policy.
        x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
        head = keras.layers.Dense(len(classes), activation="softmax", dtype="float32", name=_CLASS_HEAD)
        super().__init__(network.input, head(x), **kwargs)
        self._network = keras.saving.serialize_keras_object(network)
        self.classes = tuple(classes)

    def get_config(self):
        return {"name": self.name, "network": self._network, "classes": self.classes}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def backbone_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers with weights before the head of a classifier or pose network, by name."""
    layers = takewhile(lambda layer: layer.name not in (_POSE_HEAD, _CLASS_HEAD), model.layers)
    return {layer.name: layer for layer in layers if layer.weights}
