"""A two-layer pose network for tests of everything around it: FLPN's training step takes 30 s to trace."""

import keras

from flpn_tf.models.pose_network import PoseNetwork, as_skeleton
from flpn_tf.training import fit


@keras.saving.register_keras_serializable(package="flpn_tf_tests")
class TinyNetwork(PoseNetwork):
    """Four convolutions at a quarter of the crop's size."""

    ARGUMENTS = ("image_size",)

    def __init__(self, image_size, skeleton, **kwargs):
        skeleton = as_skeleton(skeleton, None)
        inputs = keras.Input((*image_size, 3), name="image", dtype="float32")
        x = inputs / 127.5 - 1.0  # Rescaling would need TensorFlow whatever the backend
        for strides in (2, 2, 1):
            x = keras.layers.Conv2D(16, 5, strides, padding="same", use_bias=False)(x)
            x = keras.layers.BatchNormalization(momentum=0.9)(x)
            x = keras.layers.ReLU()(x)
        super().__init__(inputs, keras.layers.Conv2D(len(skeleton), 1)(x), skeleton, **kwargs)
        self.image_size = tuple(image_size)


def build(config, skeleton):
    """In place of `fit.build_model`."""
    return TinyNetwork(config.image_size, skeleton)


if __name__ == "__main__":
    # `flpn` with this network: python tiny_network.py train CONFIG …
    from tiny_network import build  # under this name checkpoints find its class again

    from flpn_tf.cli import main

    fit.build_model = build
    main()
