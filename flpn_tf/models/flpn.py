"""FLPN-50/101/152, the network of the paper, and the switches of its ablations."""

import keras

from flpn_tf.layers import SmartBottleneck
from flpn_tf.layers.grouped_conv import PACKAGE
from flpn_tf.models import parts
from flpn_tf.models.pose_network import PoseNetwork, as_skeleton


@keras.saving.register_keras_serializable(package=PACKAGE)
class FLPN(PoseNetwork):
    """Fast and Lightweight Pose Network (FLPN).

    RGB pixels 0–255, uint8 or float, (B, H, W, 3) → heatmaps (B, H / 4, W / 4, K), float32.
    Heatmap pixel i lies on crop pixel 4·i. The normalisation is inside.

    Args:
        depth: 50, 101 or 152.
        ratios: intrinsic ratio t of the smart modules, one per stage. (2, 8, 2, 2) gives the paper's
            table 1, (8, 2, 2, 2) its ablation tables.
        image_size: (H, W) of the crop, multiples of 32; the paper uses (256, 192).
        keypoints: K, for joints without names.
        skeleton: `Skeleton` (or its dict) of the K joints; COCO's 17 where neither is given.
        width: multiplies all channels of stem and stages.
        block: residual block, "smart" or one of the comparisons in `flpn_tf.models.bottlenecks`.
        global_context: context block inside the smart bottleneck.
        stem: "grouped" or "pooled" (7×7 convolution and max-pooling).
        head_filters: channels of the transposed convolutions.
        head_grouped: False makes them dense.

    Raises:
        ValueError: an argument out of its range; the message ends in what was received.

    Example:
        >>> model = FLPN(depth=50, width=0.25, image_size=(64, 64))
        >>> model(keras.ops.zeros((1, 64, 64, 3))).shape
        (1, 16, 16, 17)

    Source: Fast and Lightweight Human Pose Estimation, IEEE Access, 2021.
    """

    ARGUMENTS = (
        "depth",
        "ratios",
        "image_size",
        "width",
        "block",
        "global_context",
        "stem",
        "head_filters",
        "head_grouped",
    )

    def __init__(
        self,
        depth=50,
        ratios=(2, 8, 2, 2),
        image_size=(256, 192),
        keypoints=None,
        skeleton=None,
        width=1.0,
        block="smart",
        global_context=True,
        stem="grouped",
        head_filters=256,
        head_grouped=True,
        **kwargs,
    ):
        if depth not in parts.STAGE_BLOCKS:
            raise ValueError(f"depth must be one of {list(parts.STAGE_BLOCKS)}. Received: {depth=}")
        if len(ratios) != len(parts.STAGE_HIDDEN):
            raise ValueError(f"ratios needs one value per stage. Received: {ratios=}")
        if stem not in ("grouped", "pooled"):
            raise ValueError(f"stem must be 'grouped' or 'pooled'. Received: {stem=}")
        skeleton = as_skeleton(skeleton, keypoints)
        inputs = parts.pixel_input(image_size)
        filters = parts.scaled(parts.STEM_FILTERS, width)
        if stem == "grouped":
            x = parts.grouped_stem(inputs, filters, parts.scaled(parts.STEM_FIRST_FILTERS, width))
        else:
            x = parts.pooled_stem(inputs, filters)

        def make_block(stage, strides, name):
            hidden = parts.scaled(parts.STAGE_HIDDEN[stage], width)
            return SmartBottleneck(
                hidden, 4 * hidden, strides, ratios[stage], global_context=global_context, name=name
            )

        x = parts.stages(x, parts.STAGE_BLOCKS[depth], make_block)
        outputs = parts.deconv_head(x, len(skeleton), head_filters, grouped=head_grouped)
        super().__init__(inputs, outputs, skeleton, **kwargs)
        self.depth = depth
        self.ratios = tuple(ratios)
        self.image_size = tuple(image_size)
        self.width = width
        self.block = block
        self.global_context = global_context
        self.stem = stem
        self.head_filters = head_filters
        self.head_grouped = head_grouped
