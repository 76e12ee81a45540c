"""One of each of FLPN's layers: what a training step must get right, in seconds of tracing.

128 channels leave the context block 8 to normalise; of 2 only the signs would remain, and a rounding error
could change the loss by per cents."""

import keras

from flpn_tf.layers import SmartBottleneck
from flpn_tf.models import parts
from flpn_tf.models.pose_network import PoseNetwork, as_skeleton


@keras.saving.register_keras_serializable(package="flpn_tf_tests")
class SmallNetwork(PoseNetwork):
    """Grouped stem, a smart bottleneck with context, grouped deconvolution."""

    ARGUMENTS = ("image_size",)

    def __init__(self, image_size, skeleton, **kwargs):
        skeleton = as_skeleton(skeleton, None)
        inputs = parts.pixel_input(image_size)
        x = parts.grouped_stem(inputs, 16, 8)
        x = SmartBottleneck(32, 128, 2, ratio=2, global_context=True, name="block")(x)
        outputs = parts.deconv_head(x, len(skeleton), 32, count=1)
        super().__init__(inputs, outputs, skeleton, **kwargs)
        self.image_size = tuple(image_size)


def build(config, skeleton):
    """In place of `fit.build_model`."""
    return SmallNetwork(config.image_size, skeleton)
