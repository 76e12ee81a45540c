"""Random COCO annotations with all that the official evaluation knows, and random poses to them."""

import json
from pathlib import Path

import numpy as np

from flpn_tf.data.coco import read_coco
from flpn_tf.data.records import People
from flpn_tf.skeleton import COCO_17, Skeleton

WIDTH, HEIGHT = 640, 480
EMPTY, CROWDED = 3, 5  # every how many photos nobody is in one, and more than 20 poses are
FIVE = Skeleton(
    "five",
    ("head", "left_hand", "right_hand", "left_foot", "right_foot"),
    ((1, 2), (3, 4)),
    ((0, 1), (0, 2)),
    (0.03, 0.15, 0.08, 0.05, 0.11),
)
SKELETONS = (COCO_17, FIVE)


def document(skeleton: Skeleton, rng, photos: int = 30) -> dict:
    """The json. Beside people as usual there are crowds, people without labelled joints, without area, and
    beside their photo; areas of all three sizes."""
    images = [
        {"id": 10 * i + 7, "file_name": f"{i}.jpg", "width": WIDTH, "height": HEIGHT} for i in range(photos)
    ]
    annotations = []
    for image in images[::-1]:
        if image["id"] // 10 % EMPTY:
            annotations += [_person(skeleton, rng, image["id"]) for _ in range(rng.integers(1, 6))]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    category = {
        "id": 1,
        "name": "person",
        "keypoints": list(skeleton.names),
        "flip_pairs": [list(pair) for pair in skeleton.flip_pairs],
        "sigmas": list(skeleton.sigmas),
    }
    return {"info": {}, "images": images, "annotations": annotations, "categories": [category]}


def _person(skeleton: Skeleton, rng, image_id: int) -> dict:
    kind = rng.choice(["usual", "crowd", "unlabelled", "no area", "outside"], p=[0.7, 0.08, 0.12, 0.04, 0.06])
    size = rng.integers(20, 180, 2)
    position = rng.integers((0, 0), (WIDTH - 180, HEIGHT - 180)) + (kind == "outside") * WIDTH
    # Quarters of a pixel are exact in float32.
    joints = position + np.rint(4 * size * rng.uniform(size=(len(skeleton), 2))) / 4
    labels = rng.choice([0, 1, 2], len(skeleton), p=[0.3, 0.2, 0.5])
    labels[rng.integers(len(skeleton))] = 2
    if kind in ("crowd", "unlabelled"):
        joints, labels = np.zeros_like(joints), np.zeros_like(labels)
    return {
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": int(kind == "crowd"),
        "num_keypoints": int((labels > 0).sum()),
        "keypoints": np.column_stack([joints, labels]).ravel().tolist(),
        "bbox": [*position.tolist(), *size.tolist()],
        "area": 0.0 if kind == "no area" else float(size.prod() * rng.uniform(0.4, 1)),
    }


def poses(document: dict, rng, noise: float = 0.03) -> list[dict]:
    """Results: one to three poses near most people, others anywhere, more than 20 in some photos; many share
    their score."""
    results = []

    def add(image_id, joints, score):
        joints = np.column_stack([joints, rng.uniform(size=len(joints))])
        result = {"image_id": image_id, "category_id": 1, "keypoints": joints.ravel().tolist()}
        results.append(result | {"score": round(float(score), 1)})

    count = len(document["categories"][0]["keypoints"])
    for person in document["annotations"]:
        position, size = np.split(np.array(person["bbox"], float), 2)
        truth = np.reshape(person["keypoints"], (-1, 3))
        within = position + size * rng.uniform(size=(count, 2))
        joints = np.where(truth[:, 2:] > 0, truth[:, :2], within)
        for _ in range(rng.integers(4)):
            shift = rng.normal(size=joints.shape) * size * noise * rng.uniform(0.3, 2)
            add(person["image_id"], joints + shift, rng.uniform(0.2, 1))
    for place, image in enumerate(document["images"]):
        for _ in range(22 if place % CROWDED == 0 else rng.integers(3)):
            add(image["id"], rng.uniform(0, HEIGHT, (count, 2)), rng.uniform(0, 0.6))
    return [results[i] for i in rng.permutation(len(results))]


def arrays(results: list[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(keypoints, scores, image_ids) of results, as `keypoint_ap` takes them."""
    keypoints = np.array([result["keypoints"] for result in results])
    scores, image_ids = (np.array([result[key] for result in results]) for key in ("score", "image_id"))
    return keypoints.reshape(len(results), -1, 3), scores, image_ids


def read(document: dict, folder: Path) -> People:
    """The people of the json; nobody looks for their photos."""
    path = folder / "annotations.json"
    path.write_text(json.dumps(document))
    return read_coco(path, "https://example.com/photos")
