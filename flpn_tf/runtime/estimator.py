"""PoseEstimator: photo and boxes in, poses out."""

import dataclasses
import numbers
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flpn_tf import geometry
from flpn_tf.codec import HeatmapCodec, check_decode_rule, flip_heatmaps
from flpn_tf.errors import InputError
from flpn_tf.presets import DEFAULT_MODEL, label_of, resolve_model
from flpn_tf.runtime.backends import open_backend
from flpn_tf.runtime.images import check_image, read_image
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD, Poses

MAX_COORDINATE = 1e6  # pixels; no photo is larger, and far beyond it the crop's arithmetic overflows
MIN_BOX_SIDE = 0.01  # pixels

# Joints lie inside a person's box: of the margins tried on the 461 `coco_train` people with 10 or more
# labelled joints, 0.08 of the longer side agrees best with the annotated boxes (mean IoU 0.77).
_BOX_MARGIN = 0.08


class PoseEstimator:
    """Estimates poses with a `.tflite`, `.keras` or SavedModel.

    Example:
        poses = PoseEstimator("flpn-mobile").estimate("photo.jpg", boxes=[[40, 20, 110, 260]])
        poses.keypoints  # (1, K, 3): x, y in the photo's pixels, score

    Args:
        model: path, preset or alias, or a `PoseNetwork`.
        threads: for the TFLite runtime.
        decode: ``"argmax"``, ``"quarter"`` or ``"dark"``; by default the rule in the model's spec.

    Attributes:
        name: its file's without the ending, or that of a network in memory.

    Raises:
        InputError: no such model, or one that cannot be used.
    """

    def __init__(self, model=DEFAULT_MODEL, threads: int = 1, decode: str | None = None):
        if decode is not None:
            check_decode_rule(decode)
        self.path = resolve_model(model) if isinstance(model, str | Path) else None
        self._backend = open_backend(self.path or model, threads)
        self.spec = self._backend.spec
        self.name = (
            self.spec.name if self.path is None else label_of(self.path).removesuffix(self.path.suffix)
        )
        self.skeleton = self.spec.skeleton
        self.codec = self.spec.codec
        if decode is not None:
            self.codec = dataclasses.replace(self.codec, decode_rule=decode)

    def estimate(self, image, boxes=None, box_scores=None, flip_test=False, name=None) -> Poses:
        """Finds one pose a box.

        Args:
            image: path, or ``(H, W, 3)`` uint8 RGB.
            boxes: ``(P, 4)`` ``[x, y, w, h]`` in image pixels, P may be 0. With None, one line on stderr says
                that the whole frame is taken as one person, and the pose is estimated twice: in the frame,
                then in the box around what was found.
            box_scores: ``(P,)`` confidences of the boxes, by default 1.
            flip_test: average the heatmaps with those of the mirrored crop.
            name: what messages call the image, by default its path.

        Raises:
            InputError: an unreadable image or a bad box, naming which.
        """
        if isinstance(image, np.ndarray):
            name = name or "the image"
            check_image(image, name)
        else:
            name = name or str(image)
            image = read_image(image)
        height, width = image.shape[:2]
        if boxes is not None:
            boxes = check_boxes(boxes, height, width, name)
            return self._estimate(image, boxes, check_scores(box_scores, len(boxes), name), flip_test)
        if box_scores is not None:
            raise InputError(f"{name}: box_scores need boxes. Received: boxes=None")
        return whole_frame(lambda box: self._estimate(image, box, np.ones(1), flip_test), height, width, name)

    def _estimate(self, image, boxes: np.ndarray, box_scores: np.ndarray, flip_test: bool) -> Poses:
        keypoints, scores = self.poses(*self.crops(image, boxes), flip_test)
        return Poses(boxes, keypoints, box_scores * scores, self.skeleton)

    def crops(self, image: np.ndarray, boxes) -> tuple[np.ndarray, np.ndarray]:
        """What the model looks at: ``(P, H, W, 3)`` uint8 crops and ``(P, 2, 3)`` affines from image to crop.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            boxes: ``(P, 4)``, as `check_boxes` gives them.
        """
        size = (self.spec.input_height, self.spec.input_width)
        crops, affines = np.zeros((len(boxes), *size, 3), np.uint8), np.zeros((len(boxes), 2, 3))
        for crop, affine, box in zip(crops, affines, boxes, strict=True):
            affine[:] = geometry.crop_affine(box, *size, self.spec.padding)
            crop[:] = geometry.warp(image, affine, *size)
        return crops, affines

    def poses(self, crops, affines, flip_test: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """`decode_poses` of what the model finds in `crops`, which may be of several images.

        Args:
            crops, affines: as `crops` gives them.
            flip_test: average the heatmaps with those of the mirrored crops.
        """
        heatmaps = self._backend.predict(crops)
        if flip_test:
            mirrored = self._backend.predict(np.ascontiguousarray(crops[:, :, ::-1]))
            heatmaps = (heatmaps + flip_heatmaps(mirrored, self.skeleton)) / 2
        return decode_poses(self.codec, heatmaps, affines)


def decode_poses(
    codec: HeatmapCodec, heatmaps: np.ndarray, affines: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps of crops → poses in the photos.

    Args:
        heatmaps: ``(P, H, W, K)``.
        affines: P of ``(2, 3)``, from image to crop.

    Returns:
        keypoints ``(P, K, 3)`` ``(x, y, score)`` in image pixels, and their `pose_scores`.
    """
    keypoints = codec.decode(heatmaps)
    for person, affine in zip(keypoints, affines, strict=True):
        person[:, :2] = geometry.transform_points(person[:, :2], geometry.invert_affine(affine))
    return keypoints, pose_scores(keypoints)


def pose_scores(keypoints: np.ndarray) -> np.ndarray:
    """The mean of the scores above `KEYPOINT_THRESHOLD`, 0 where none is: ``(P, K, 3)`` → ``(P,)``."""
    scores = keypoints[..., 2]
    found = scores > KEYPOINT_THRESHOLD
    return (scores * found).sum(axis=1) / np.maximum(found.sum(axis=1), 1)


def whole_frame(estimate, height: int, width: int, name: str) -> Poses:
    """The pose in a photo without a box: in the frame, then in the box around what was found there.

    Says so on stderr.

    Args:
        estimate: ``(1, 4)`` boxes → `Poses`.
        height, width: of the photo.
        name: what the message calls it.
    """
    print(
        f"flpn: no box for {name}: the whole frame is taken as one person, then the box around the pose "
        "found; a box of your own gives a better pose",
        file=sys.stderr,
    )
    first = estimate(np.array([[0.0, 0.0, width, height]]))
    closer = box_around(first.keypoints[0])
    if closer is None or not geometry.touches(closer, height, width):
        return first
    return estimate(closer[None])


def box_around(keypoints: np.ndarray) -> np.ndarray | None:
    """A person's ``[x, y, w, h]`` around a pose ``(K, 3)``; None where fewer than two joints are found."""
    return geometry.keypoints_to_box(keypoints, KEYPOINT_THRESHOLD, _BOX_MARGIN)


def check_boxes(boxes, height: int, width: int, name: str) -> np.ndarray:
    """Boxes as ``(P, 4)`` float64.

    Args:
        boxes: a list of ``[x, y, w, h]``, image pixels.
        height: of the image.
        width: of the image.
        name: what messages call the image.

    Raises:
        InputError: a box that is malformed, not finite, beyond `MAX_COORDINATE`, under `MIN_BOX_SIDE` or
            entirely outside; the message names the image and the box's index.
    """
    try:
        rows = list(boxes)
    except TypeError as error:
        raise InputError(f"{name}: boxes are a list of [x, y, w, h]. Received: {boxes!r}") from error
    checked = np.zeros((len(rows), 4))
    for i, row in enumerate(rows):
        box = row.tolist() if isinstance(row, np.ndarray) else row
        if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(_is_coordinate, box)):
            expected = f"must be four finite numbers [x, y, w, h], at most {MAX_COORDINATE:.0f} pixels"
        elif not min(box[2:]) >= MIN_BOX_SIDE:
            expected = f"needs a width and a height of at least {MIN_BOX_SIDE} pixels"
        elif not geometry.touches(box, height, width):
            expected = f"must touch the {width}x{height} image"
        else:
            checked[i] = box
            continue
        raise InputError(f"{name}: box {i} {expected}. Received: {box}")
    return checked


def _is_coordinate(value) -> bool:
    # False for NaN too. `True` is a number in Python, not in json.
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and abs(value) <= MAX_COORDINATE


def check_scores(box_scores, count: int, name: str) -> np.ndarray:
    """Boxes' scores as ``(count,)`` float64, 1 each where they are None.

    Raises:
        InputError: another number of them, or one that is not finite.
    """
    try:
        scores = np.ones(count) if box_scores is None else np.asarray(box_scores, dtype=np.float64)
    except (TypeError, ValueError):
        scores = np.full(count, np.nan)
    if scores.shape != (count,) or not np.isfinite(scores).all():
        raise InputError(f"{name}: box_scores must be {count} finite numbers. Received: {box_scores}")
    return scores
