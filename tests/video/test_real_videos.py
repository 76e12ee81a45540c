"""The shipped model follows people in photos that a camera pans and zooms over."""

import json
import math

import numpy as np
import pytest
import skimage.data
from real_data import real_data

from flpn_tf import geometry
from flpn_tf.runtime.estimator import PoseEstimator, box_around
from flpn_tf.runtime.images import read_image
from flpn_tf.runtime.tracking import PoseTracker
from flpn_tf.runtime.video.reader import VideoReader
from flpn_tf.runtime.video.writer import VideoWriter

FRAMES, RATE, HEIGHT, WIDTH = 90, 30.0, 360, 480


@pytest.fixture(scope="module")
def estimator():
    return PoseEstimator("flpn-mobile")


def filmed(photo, path) -> list[np.ndarray]:
    """Writes the video; the (2, 3) affines from the photo to its frames."""
    height, width = photo.shape[:2]
    views = []
    with VideoWriter(path, RATE) as writer:
        for number in range(FRAMES):
            turn = 2 * math.pi * number / FRAMES
            scale = min(HEIGHT / height, WIDTH / width) * (0.85 + 0.15 * math.cos(turn))
            x, y = width * (0.5 + 0.1 * math.sin(turn)), height * (0.5 + 0.1 * math.sin(2 * turn))
            view = np.array([[scale, 0, WIDTH / 2 - scale * x], [0, scale, HEIGHT / 2 - scale * y]])
            writer.write(lambda view=view: geometry.warp(photo, view, HEIGHT, WIDTH), number / RATE)
            views.append(view)
    return views


def followed(estimator, path, views, person) -> tuple[float, set[int]]:
    """The share of frames in which the middle of the joints lies in the person's box, and all ids."""
    kept, ids, tracker = 0, set(), PoseTracker(estimator)
    with VideoReader(path) as reader:
        for frame, view in zip(reader, views, strict=True):
            people = tracker.update(frame.image, frame.time)
            ids |= set(people.ids.tolist())
            low, high = geometry.transform_points([person[:2], np.add(person[:2], person[2:])], view)
            boxes = [box_around(pose) for pose in people.poses.keypoints]
            middles = [box[:2] + box[2:] / 2 for box in boxes if box is not None]
            kept += any((low < middle).all() and (middle < high).all() for middle in middles)
    return kept / FRAMES, ids


def test_a_portrait(estimator, tmp_path):
    views = filmed(skimage.data.astronaut(), tmp_path / "v.mp4")
    share, ids = followed(estimator, tmp_path / "v.mp4", views, [60, 0, 330, 512])
    assert share >= 0.95
    assert ids == {1}


def test_people_in_sports(estimator, tmp_path):
    """Whom the model finds in the photo, it finds in the video."""
    folder = real_data("lsp_val")
    content = json.loads((folder / "annotations.json").read_text())
    boxes = {entry["image_id"]: entry["bbox"] for entry in content["annotations"]}
    shares = []
    for image in content["images"][::60]:
        photo, video = read_image(folder / "images" / image["file_name"]), tmp_path / f"{image['id']}.mp4"
        box = boxes[image["id"]]
        pose = estimator.estimate(photo, [box]).keypoints[0]
        if (pose[:, 2] > 0.3).sum() >= 13:
            share, ids = followed(estimator, video, filmed(photo, video), box)
            shares.append(share)
            assert ids == {1}
    assert len(shares) >= 5
    assert min(shares) >= 0.95
