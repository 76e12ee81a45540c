"""From people to training samples, in the two steps between which photos are read; of any array library.

place     boxes and joints of a batch → crop affines, colours, joints of the crops
sample    its photos' pixels → crops, heatmaps, weights                           (made to be compiled by XLA)
"""

import numpy as np

from flpn_tf.codec import HeatmapCodec
from flpn_tf.data import augment_batch, codec_batch, geometry_batch
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.manifest import PreparedPeople
from flpn_tf.data.namespace import namespace_of
from flpn_tf.data.records import People
from flpn_tf.errors import InputError
from flpn_tf.skeleton import Skeleton

# A part of a photo of more pixels is made the crop at once, so that a batch's parts fit into memory together.
LARGE = 1 << 20
# XLA compiles anew for each number of pixels: a batch's is brought to one of these, four to each power of 2.
PACKED_LENGTHS = np.array(
    [part << 14 for part in (1, 2, 3)] + [part << power for power in range(14, 29) for part in (4, 5, 6, 7)],
    np.int32,
)


def check_samples(
    people: People | PreparedPeople,
    image_size: tuple[int, int],
    augmentation: Augmentation | None,
    padding: float,
) -> None:
    """Refuses what these people cannot be augmented or cropped by.

    Raises:
        InputError: an augmentation or crop that prepared crops don't reach, or a skeleton without two halves
            for `half_body`.
    """
    if isinstance(people, PreparedPeople):
        people.check_augmentation(augmentation)
        people.check_crop(image_size, padding)
    halves = people.skeleton.lower_body
    if augmentation is not None and augmentation.half_body and (halves.all() or not halves.any()):
        raise InputError(
            f"augmentation.half_body needs joints above and below the hips. Received: {people.skeleton.names}"
        )


def place(
    boxes,
    keypoints,
    numbers,
    skeleton: Skeleton,
    image_size: tuple[int, int],
    augmentation: Augmentation | None,
    padding: float,
):
    """Where each person's pixels and joints go.

    Args:
        boxes: (B, 4) float32 [x, y, w, h], photo pixels.
        keypoints: (B, K, 3) float32 (x, y, v), photo pixels.
        numbers: (B, DRAWS) float32, uniform in [0, 1); not used without augmentation.

    Returns:
        affines (B, 2, 3), photo → crop; colours (B, 3, 4), or None where they stay; points (B, K, 2), crop
        pixels; and visible (B, K), their v.
    """
    xp = namespace_of(keypoints)
    motion, colours = None, None
    if augmentation is not None:
        motion = augment_batch.draw_motion(augmentation, numbers)
        if augmentation.half_body:
            boxes = augment_batch.half_bodies(augmentation, numbers, boxes, keypoints, skeleton, padding)
        mirrored = xp.take(keypoints, skeleton.flip_permutation, axis=1, mode="clip")
        keypoints = xp.where(motion.flip[:, np.newaxis, np.newaxis], mirrored, keypoints)
        if augmentation.changes_colours:
            colours = augment_batch.draw_colours(augmentation, numbers)
    affines = geometry_batch.crop_affine(boxes, *image_size, padding, motion)
    points = geometry_batch.transform_points(keypoints[..., :2], affines)
    return affines, colours, points, keypoints[..., 2]


def sample(codec: HeatmapCodec, pixels, starts, sizes, crop_points, colours, *joints):
    """Crops (B, H, W, 3) uint8, and heatmaps and weights of joints: see `warp_packed` and `encode`."""
    crops = geometry_batch.warp_packed(pixels, starts, sizes, crop_points, colours)
    return crops, *codec_batch.encode(codec, *joints)
