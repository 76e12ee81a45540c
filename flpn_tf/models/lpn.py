"""LPN-50/101/152, the light network FLPN is compared with."""

import keras

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.models import parts
from flpn_tf.models.bottlenecks import LPNBottleneck
from flpn_tf.models.pose_network import PoseNetwork, as_skeleton


@keras.saving.register_keras_serializable(package=PACKAGE)
class LPN(PoseNetwork):
    """ResNet's stem, light bottlenecks of expansion 1, two grouped transposed convolutions.

    The last stage does not stride, and each transposed convolution is followed by a 1×1 that mixes
    its groups. RGB pixels 0–255 (B, H, W, 3) → heatmaps (B, H / 4, W / 4, K), float32. One of the
    paper's comparison networks: Zhang, Tang and Wu 2019, "Simple and Lightweight Human Pose
    Estimation".

    Args:
        depth: 50, 101 or 152.
        image_size: (H, W) of the crop, multiples of 32.
        keypoints: K, for joints without names.
        skeleton: `Skeleton` (or its dict) of the K joints; COCO's 17 where neither is given.

    Raises:
        ValueError: an argument out of its range; the message ends in what was received.
    """

    ARGUMENTS = ("depth", "image_size")

    def __init__(self, depth=50, image_size=(256, 192), keypoints=None, skeleton=None, **kwargs):
        skeleton = as_skeleton(skeleton, keypoints)
        inputs = parts.pixel_input(image_size)
        x = parts.pooled_stem(inputs, parts.STEM_FILTERS)
        x = parts.stages(x, depth, LPNBottleneck, strides=(1, 2, 2, 1))
        outputs = parts.deconv_head(x, len(skeleton), count=2, pointwise=True)
        super().__init__(inputs, outputs, skeleton, **kwargs)
        self.depth = depth
        self.image_size = tuple(image_size)
