"""The pieces the pose networks are put together from: stem, stages, head."""

from math import gcd

import keras

from flpn_tf.layers import ConvNorm, GroupedConv2D, GroupedConv2DTranspose, PixelConv2D
from flpn_tf.layers.conv_norm import conv_norm
from flpn_tf.models.bottlenecks import BLOCKS

# Blocks per stage of ResNet-50/101/152 (He et al. 2016, table 1).
STAGE_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STAGE_HIDDEN = (64, 128, 256, 512)
STEM_FIRST_FILTERS = 16
STEM_FILTERS = 64
HEAD_FILTERS = 256


def scaled(channels, width):
    """`channels` times the width multiplier, to the nearest multiple of 8 (SIMD lanes), at least 8."""
    if not width > 0:
        raise ValueError(f"width must be above 0. Received: {width=}")
    return channels if width == 1 else max(8, round(channels * width / 8) * 8)


def pixel_input(image_size):
    """Input of RGB pixels 0–255 (H, W, 3); H and W are checked to be whole numbers of stage-3 cells."""
    height, width = image_size
    if height % 32 or width % 32 or min(height, width) < 32:
        raise ValueError(f"image_size must be multiples of 32. Received: {image_size=}")
    return keras.Input((height, width, 3), name="image", dtype="float32")


def pixel_unit(name, filters, kernel_size):
    """The first convolution, stride 2, with batch norm and ReLU."""
    # In float32 under every policy: 0–255 and its offset do not fit half precision well.
    return ConvNorm(
        PixelConv2D(filters, kernel_size, 2, dtype="float32", name="conv"), dtype="float32", name=name
    )


def grouped_stem(x, filters, first):
    """conv 3×3 s2 to `first` maps, then a *grouped* conv 3×3 s2; no max-pool (paper, section III)."""
    x = pixel_unit("stem_1", first, 3)(x)
    return conv_norm("stem_2", filters, 3, 2, gcd(first, filters))(x)


def pooled_stem(x, filters):
    """ResNet's stem: conv 7×7 s2, then 3×3 s2 max-pooling."""
    x = pixel_unit("stem", filters, 7)(x)
    x = keras.layers.ZeroPadding2D(1, name="stem_pad")(x)  # after a ReLU zero is the lowest value
    return keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)


def block_class(name):
    """The residual block of that name; ValueError where there is none."""
    if name not in BLOCKS:
        raise ValueError(f"block must be one of {list(BLOCKS)}. Received: block={name!r}")
    return BLOCKS[name]


def stages(x, depth, block, width=1.0, strides=(1, 2, 2, 2), options=None):
    """The residual stages.

    Args:
        x: the stem's maps.
        depth: 50, 101 or 152.
        block: a `Bottleneck` subclass.
        width: multiplies the channels.
        strides: one value per stage.
        options: further arguments of the block, one dict per stage.

    Raises:
        ValueError: unknown depth.
    """
    if depth not in STAGE_BLOCKS:
        raise ValueError(f"depth must be one of {list(STAGE_BLOCKS)}. Received: {depth=}")
    for stage, count in enumerate(STAGE_BLOCKS[depth]):
        hidden = scaled(STAGE_HIDDEN[stage], width)
        kwargs = options[stage] if options else {}
        for index in range(count):
            name = f"stage{stage}_block{index}"
            stride = strides[stage] if index == 0 else 1
            x = block(hidden, block.EXPANSION * hidden, stride, name=name, **kwargs)(x)
    return x


def deconv_head(x, keypoints, filters=HEAD_FILTERS, count=3, grouped=True, pointwise=False):
    """Upsampling to the heatmaps: transposed convolutions, then a 1×1 with bias to K maps.

    Args:
        x: the last stage's maps.
        keypoints: K.
        filters: channels of the transposed convolutions.
        count: how many of them, each doubling height and width.
        grouped: groups = gcd(in, out) (paper, section III), else dense.
        pointwise: a 1×1 convolution with batch norm and ReLU behind each (as LPN does).
    """
    for index in range(count):
        groups = gcd(x.shape[-1], filters) if grouped else 1
        deconv = GroupedConv2DTranspose(filters, groups, name="conv")
        x = ConvNorm(deconv, name=f"deconv{index}")(x)
        if pointwise:
            x = conv_norm(f"deconv{index}_mix", filters, 1)(x)
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
