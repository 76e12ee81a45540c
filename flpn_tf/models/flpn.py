"""FLPN-50/101/152, the network of the paper, and the switches of its ablations."""

import keras

from flpn_tf.keras_registration import PACKAGE
from flpn_tf.models import parts
from flpn_tf.models.pose_network import PoseNetwork, as_skeleton

# The paper's table 1.
RATIOS = (2, 8, 2, 2)


@keras.saving.register_keras_serializable(package=PACKAGE)
class FLPN(PoseNetwork):
    """Fast and Lightweight Pose Network (FLPN).

    RGB pixels 0–255, uint8 or float, (B, H, W, 3) → heatmaps (B, H / 4, W / 4, K), float32.
    Heatmap pixel i lies on crop pixel 4·i. The normalisation is inside.

    Args:
        depth: 50, 101 or 152.
        ratios: intrinsic ratio t of the smart modules, one per stage; only for `block="smart"`.
            (2, 8, 2, 2), the default, gives the paper's table 1, (8, 2, 2, 2) its ablation tables.
        image_size: (H, W) of the crop, multiples of 32; the paper uses (256, 192).
        keypoints: K, for joints without names.
        skeleton: `Skeleton` (or its dict) of the K joints; COCO's 17 where neither is given.
        width: multiplies all channels of stem and stages.
        block: residual block: "smart", or "standard", "ghost", "mobilenetv3" or "lpn" of
            `flpn_tf.models.bottlenecks`.
        global_context: context block in every bottleneck; None: where the block's source has it
            ("smart" and "lpn").
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
        ratios=None,
        image_size=(256, 192),
        keypoints=None,
        skeleton=None,
        width=1.0,
        block="smart",
        global_context=None,
        stem="grouped",
        head_filters=parts.HEAD_FILTERS,
        head_grouped=True,
        **kwargs,
    ):
        make_block = parts.block_class(block)
        if global_context is None:
            global_context = make_block.GLOBAL_CONTEXT
        options = [{"global_context": global_context} for _ in parts.STAGE_HIDDEN]
        if block == "smart":
            ratios = tuple(RATIOS if ratios is None else ratios)
            if len(ratios) != len(options):
                raise ValueError(f"ratios needs one value per stage. Received: {ratios=}")
            options = [{**stage, "ratio": ratio} for stage, ratio in zip(options, ratios, strict=True)]
        elif ratios is not None:
            raise ValueError(f"only the smart block has ratios. Received: {ratios=}, {block=}")
        if stem not in ("grouped", "pooled"):
            raise ValueError(f"stem must be 'grouped' or 'pooled'. Received: {stem=}")
        skeleton = as_skeleton(skeleton, keypoints)
        inputs = parts.pixel_input(image_size)
        filters = parts.scaled(parts.STEM_FILTERS, width)
        if stem == "grouped":
            x = parts.grouped_stem(inputs, filters, parts.scaled(parts.STEM_FIRST_FILTERS, width))
        else:
            x = parts.pooled_stem(inputs, filters)
        x = parts.stages(x, depth, make_block, width, options=options)
        outputs = parts.deconv_head(x, len(skeleton), head_filters, grouped=head_grouped)
        super().__init__(inputs, outputs, skeleton, **kwargs)
        self.depth = depth
        self.ratios = ratios
        self.image_size = tuple(image_size)
        self.width = width
        self.block = block
        self.global_context = global_context
        self.stem = stem
        self.head_filters = head_filters
        self.head_grouped = head_grouped
