"""The whole per-sample transform in numpy, from the same uniform numbers: what batches are held against."""

import numpy as np

from flpn_tf import geometry

_UPPER_ENOUGH = 3


def half_body(box, keypoints, numbers, probability, is_lower, padding):
    """The box of one half of the body, or the box itself."""
    labelled = keypoints[:, 2] > 0
    if not numbers[5] < probability or labelled.sum() <= 8:
        return box
    halves = [labelled & ~is_lower, labelled & is_lower]
    possible = [half.sum() >= _UPPER_ENOUGH for half in halves]
    if not any(possible):
        return box
    wanted = int(numbers[6] >= 0.5)
    chosen = halves[wanted if possible[wanted] else 1 - wanted]
    points = keypoints[chosen, :2].astype(np.float64)
    size = np.maximum(points.max(axis=0) - points.min(axis=0), 1) * 1.5 / padding
    return np.concatenate([points.mean(axis=0) - size / 2, size])


def colour_matrix(augmentation, numbers):
    """(3, 4): first saturation and hue, then contrast about mid-grey, then brightness."""
    signed = 2 * numbers - 1
    brightness, contrast, saturation = (
        1 + signed[column] * value
        for column, value in (
            (7, augmentation.brightness),
            (8, augmentation.contrast),
            (9, augmentation.saturation),
        )
    )
    angle = np.deg2rad(signed[10] * augmentation.hue)
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    chroma = np.eye(3)
    chroma[1:, 1:] = saturation * turn
    linear = np.linalg.inv(to_yiq) @ chroma @ to_yiq
    offset = np.full(3, brightness * (1 - contrast) * 127.5)
    return np.column_stack([brightness * contrast * linear, offset])


def bilinear(image, affine, height, width):
    """(height, width, 3) float64 at the crop's pixels, and (height, width) the share inside the photo."""
    rows, columns = np.mgrid[:height, :width]
    points = geometry.transform_points(np.stack([columns, rows], axis=-1), geometry.invert_affine(affine))
    x, y = points[..., 0], points[..., 1]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    value, inside = np.zeros((height, width, 3)), np.zeros((height, width))
    for down in (0, 1):
        for right in (0, 1):
            u, v = left + right, top + down
            valid = (u >= 0) & (u < image.shape[1]) & (v >= 0) & (v < image.shape[0])
            weight = (
                np.where(right, x - left, 1 - (x - left)) * np.where(down, y - top, 1 - (y - top)) * valid
            )
            value += image[v * valid, u * valid] * weight[..., None]
            inside += weight
    return value, inside


def transform(image, record, codec, image_size, augmentation, numbers, padding=1.25):
    """(crop, points, heatmaps, weights) of one person, as float64."""
    height, width = image_size
    skeleton, keypoints, box = record.skeleton, record.keypoints.astype(np.float64), record.box
    rotation, scale, flip, colours = 0.0, 1.0, False, None
    if augmentation is not None:
        signed = 2 * numbers.astype(np.float64) - 1
        rotation, scale = signed[0] * augmentation.rotation, 1 + signed[1] * augmentation.scale
        flip = numbers[2] < augmentation.flip
        box = half_body(box, keypoints, numbers, augmentation.half_body, skeleton.lower_body, padding)
        shown = max(box[2], box[3] * width / height)
        shift = signed[3:5] * augmentation.translation * [shown, shown * height / width]
        box = np.concatenate([box[:2] + shift, box[2:]])
        colours = colour_matrix(augmentation, numbers.astype(np.float64))
    affine = geometry.crop_affine(box, height, width, padding, rotation, scale, flip)
    if flip:
        keypoints = keypoints[skeleton.flip_permutation]
    points = geometry.transform_points(keypoints[:, :2], affine)
    crop, inside = bilinear(image, affine, height, width)
    if colours is not None:
        crop = crop @ colours[:, :3].T + inside[..., None] * colours[:, 3]
    heatmaps, weights = codec.encode(points, keypoints[:, 2])
    return np.clip(np.rint(crop), 0, 255), points, heatmaps, weights
