"""The pieces the pose networks are put together from: stem, stages, head."""

from math import gcd

import keras

from flpn_tf.layers import ConvNorm, GroupedConv2D, GroupedConv2DTranspose, PixelConv2D

# Blocks per stage of ResNet-50/101/152 (He et al. 2016, table 1).
STAGE_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STAGE_HIDDEN = (64, 128, 256, 512)
STEM_FIRST_FILTERS = 16
STEM_FILTERS = 64
# Pixels of the crop per heatmap pixel.
STRIDE = 4


def scaled(channels, width):
    """`channels` times the width multiplier, to the nearest multiple of 8 (SIMD lanes), at least 8."""
    return channels if width == 1 else max(8, round(channels * width / 8) * 8)


def pixel_input(image_size):
    """Input of RGB pixels 0–255 (H, W, 3); H and W are checked to be whole numbers of stage-3 cells."""
    height, width = image_size
    if height % 32 or width % 32 or min(height, width) < 32:
        raise ValueError(f"image_size must be multiples of 32. Received: {image_size=}")
    return keras.Input((height, width, 3), name="image", dtype="float32")


def grouped_stem(x, filters, first):
    """conv 3×3 s2 to `first` maps, then a *grouped* conv 3×3 s2; no max-pool (paper, section III)."""
    # The pixel convolution stays in float32: 0–255 and its offset do not fit half precision well.
    x = ConvNorm(PixelConv2D(first, 3, 2, dtype="float32", name="conv"), dtype="float32", name="stem_1")(x)
    conv = GroupedConv2D(filters, 3, 2, groups=gcd(first, filters), name="conv")
    return ConvNorm(conv, name="stem_2")(x)


def pooled_stem(x, filters):
    """ResNet's stem: conv 7×7 s2, then 3×3 s2 max-pooling."""
    x = ConvNorm(PixelConv2D(filters, 7, 2, dtype="float32", name="conv"), dtype="float32", name="stem")(x)
    x = keras.layers.ZeroPadding2D(1, name="stem_pad")(x)  # after a ReLU zero is the lowest value
    return keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)


def stages(x, blocks, make_block, strides=(1, 2, 2, 2)):
    """The residual stages.

    Args:
        blocks: blocks per stage.
        make_block: (stage, strides, name) → layer.
    """
    for stage, (count, stride) in enumerate(zip(blocks, strides, strict=True)):
        for index in range(count):
            x = make_block(stage, stride if index == 0 else 1, f"stage{stage}_block{index}")(x)
    return x


def deconv_head(x, keypoints, filters, count=3, grouped=True, pointwise=False):
    """Upsampling to the heatmaps: `count` transposed convolutions, then a 1×1 with bias to K maps.

    Args:
        grouped: groups = gcd(in, out) (paper, section III), else dense.
        pointwise: a 1×1 convolution with batch norm and ReLU behind each (as LPN does).
    """
    for index in range(count):
        groups = gcd(x.shape[-1], filters) if grouped else 1
        deconv = GroupedConv2DTranspose(filters, groups, name="conv")
        x = ConvNorm(deconv, name=f"deconv{index}")(x)
        if pointwise:
            x = ConvNorm(GroupedConv2D(filters, 1, name="conv"), name=f"deconv{index}_mix")(x)
    # Heatmaps start near zero, where most of their targets are.
    last = GroupedConv2D(
        keypoints,
        1,
        use_bias=True,
        kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3),
        dtype="float32",
        name="heatmaps",
    )
    return last(x)
