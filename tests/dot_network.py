"""`dot_model` as a network of this package: what can be exported, and finds dots without training."""

import dataclasses

import dot_model
import keras

from flpn_tf.models.pose_network import PoseNetwork, as_skeleton

# With a pair, so that a flip test has something to exchange.
SKELETON = dataclasses.replace(dot_model.DOTS, flip_pairs=((0, 1),))


@keras.saving.register_keras_serializable(package="flpn_tf_tests")
class DotNetwork(PoseNetwork):
    """A convolution with fixed weights."""

    ARGUMENTS = ("image_size",)

    def __init__(self, image_size=(dot_model.HEIGHT, dot_model.WIDTH), skeleton=SKELETON, **kwargs):
        skeleton = as_skeleton(skeleton, None)
        kernel = dot_model.kernel()
        inputs = keras.Input((*image_size, 3), name="image")
        padded = keras.layers.ZeroPadding2D(len(kernel) // 2)(inputs)
        convolution = keras.layers.Conv2D(
            len(skeleton), len(kernel), strides=dot_model.STRIDE, use_bias=False, name="heatmaps"
        )
        super().__init__(inputs, convolution(padded), skeleton, **kwargs)
        convolution.kernel.assign(kernel)
        self.image_size = tuple(image_size)
