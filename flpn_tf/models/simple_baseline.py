"""SimpleBaseline-50/101/152, the network FLPN is a light version of."""

import keras

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.models import parts
from flpn_tf.models.pose_network import PoseNetwork, as_skeleton


@keras.saving.register_keras_serializable(package=PACKAGE)
class SimpleBaseline(PoseNetwork):
    """ResNet with its 7×7 stem, then three dense transposed convolutions (Xiao, Wu and Wei 2018).

    RGB pixels 0–255 (B, H, W, 3) → heatmaps (B, H / 4, W / 4, K), float32. One of the paper's
    comparison networks: "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018.

    Args:
        depth: 50, 101 or 152.
        image_size: (H, W) of the crop, multiples of 32.
        keypoints: K, for joints without names.
        skeleton: `Skeleton` (or its dict) of the K joints; COCO's 17 where neither is given.
        block: residual block, "standard" as published, or another as in `FLPN`.

    Raises:
        ValueError: an argument out of its range; the message ends in what was received.
    """

    ARGUMENTS = ("depth", "image_size", "block")

    def __init__(
        self, depth=50, image_size=(256, 192), keypoints=None, skeleton=None, block="standard", **kwargs
    ):
        skeleton = as_skeleton(skeleton, keypoints)
        inputs = parts.pixel_input(image_size)
        x = parts.pooled_stem(inputs, parts.STEM_FILTERS)
        x = parts.stages(x, depth, parts.block_class(block))
        outputs = parts.deconv_head(x, len(skeleton), grouped=False)
        super().__init__(inputs, outputs, skeleton, **kwargs)
        self.depth = depth
        self.image_size = tuple(image_size)
        self.block = block
