"""Drawn people with known joints: a data set small enough to make in every test that needs one."""

import json
from pathlib import Path

import cv2
import numpy as np

from flpn_tf.skeleton import Skeleton

NAMES = ("nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip", "left_ankle", "right_ankle")
CATEGORY = {"id": 1, "name": "person", "keypoints": list(NAMES), "skeleton": [[1, 2], [2, 4], [4, 6]]}
SKELETON = Skeleton.from_coco_category(CATEGORY)
# One colour a joint, RGB; no two left/right partners look alike.
COLOURS = np.array(
    [(255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)]
)
HEIGHT, WIDTH = 120, 100
RADIUS = 7
_BACKGROUND = 60


def joints(rng) -> np.ndarray:
    """(7, 2) joints of one person, whole pixels, somewhere in the photo."""
    body = np.array([(0, -40), (18, -22), (-18, -22), (14, 10), (-14, 10), (16, 42), (-16, 42)], np.float64)
    return np.rint(body + rng.uniform(-5, 5, body.shape) + (WIDTH / 2, HEIGHT / 2) + rng.uniform(-6, 6, 2))


def draw(points) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8 RGB: a disc of the joint's colour on each joint."""
    photo = np.full((HEIGHT, WIDTH, 3), _BACKGROUND, np.uint8)
    for (x, y), colour in zip(points.astype(int).tolist(), COLOURS.tolist(), strict=True):
        cv2.circle(photo, (x, y), RADIUS, colour, -1)
    return photo


def document(people: int = 8, copies: int = 1, seed: int = 0) -> dict:
    """The COCO json: photo i shows person i; each person is annotated `copies` times."""
    rng = np.random.default_rng(seed)
    images, annotations = [], []
    for i in range(people):
        points = joints(rng)
        images.append({"id": 100 + i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT})
        low, high = points.min(axis=0) - RADIUS, points.max(axis=0) + RADIUS
        keypoints = np.column_stack([points, np.full(len(points), 2)])
        for copy in range(copies):
            annotation = {
                "id": 1000 + i * copies + copy,
                "image_id": 100 + i,
                "category_id": 1,
                "iscrowd": 0,
                "num_keypoints": len(points),
                "keypoints": keypoints.ravel().tolist(),
                "bbox": [*low.tolist(), *(high - low).tolist()],
                "area": float(np.prod(high - low)),
            }
            annotations.append(annotation)
    return {"images": images, "annotations": annotations, "categories": [CATEGORY]}


def write(folder: Path, content: dict) -> Path:
    """Writes `annotations.json` and the photos it names; returns the data-set folder."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations.json").write_text(json.dumps(content))
    points = {a["image_id"]: np.reshape(a["keypoints"], (-1, 3))[:, :2] for a in content["annotations"]}
    for image in content["images"]:
        photo = draw(points[image["id"]])
        assert cv2.imwrite(str(folder / "images" / image["file_name"]), photo[..., ::-1])
    return folder
