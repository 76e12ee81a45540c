"""A backbone of Keras's own layers with the names of FLPN's head behind it: JAX compiles it in seconds.

As a program it is `flpn` with this network: python plain_network.py pretrain CONFIG …
"""

import keras

from flpn_tf.models.pose_network import PoseNetwork, as_skeleton
from flpn_tf.training import pretrain


@keras.saving.register_keras_serializable(package="flpn_tf_tests")
class PlainNetwork(PoseNetwork):
    """A convolution, a deconvolution, a convolution."""

    ARGUMENTS = ("image_size",)

    def __init__(self, image_size, skeleton, **kwargs):
        skeleton = as_skeleton(skeleton, None)
        inputs = keras.Input((*image_size, 3), name="image", dtype="float32")
        x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalised")(inputs)
        x = keras.layers.Conv2D(16, 5, 4, activation="relu", name="stem")(x)
        x = keras.layers.Conv2DTranspose(16, 2, name="deconv0")(x)
        outputs = keras.layers.Conv2D(len(skeleton), 1, name="heatmaps")(x)
        super().__init__(inputs, outputs, skeleton, **kwargs)
        self.image_size = tuple(image_size)


def build(config, skeleton):
    """In place of `pretrain.build_model`."""
    return PlainNetwork(config.image_size, skeleton)


if __name__ == "__main__":
    from plain_network import build  # under this name models find their class again

    from flpn_tf.cli import main

    pretrain.build_model = build
    main()
