"""How much the joints of people score, and those that the model sees where nobody is.

For each bound of the mean score of a pose's joints: the share of people (8 or more labelled joints, 60 or
more pixels high) and of boxes beside everybody's that reach it.

    python benchmarks/pose_belief.py DATA [--model flpn-mobile]
"""

import argparse
import json
from pathlib import Path

import numpy as np

from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.runtime.images import read_image
from flpn_tf.runtime.native_stderr import discard_native_stderr

BOUNDS = (0.15, 0.2, 0.25, 0.3, 0.35)
TRIES, MOST = 20, 4  # boxes a photo


def beside(rng, height: int, width: int, people: np.ndarray) -> list[list[float]]:
    """Upright boxes that touch nobody's."""
    found = []
    for _ in range(TRIES):
        h = rng.uniform(60, 0.8 * min(height, width))
        x, y, w = rng.uniform(0, width - 0.6 * h), rng.uniform(0, height - h), 0.6 * h
        apart = (people[:, 0] > x + w) | (people[:, 0] + people[:, 2] < x)
        apart |= (people[:, 1] > y + h) | (people[:, 1] + people[:, 3] < y)
        if apart.all():
            found.append([x, y, w, h])
    return found[:MOST]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="flpn-mobile")
    arguments = parser.parse_args()
    with discard_native_stderr():
        estimator = PoseEstimator(arguments.model)
    content = json.loads((arguments.data / "annotations.json").read_text())
    rng, people, nobody = np.random.default_rng(0), [], []
    for image in content["images"]:
        photo = read_image(arguments.data / "images" / image["file_name"])
        here = [entry for entry in content["annotations"] if entry["image_id"] == image["id"]]
        clear = [entry["bbox"] for entry in here if entry["num_keypoints"] >= 8 and entry["bbox"][3] >= 60]
        every = np.reshape([entry["bbox"] for entry in here], (-1, 4))
        for boxes, scores in ((clear, people), (beside(rng, *photo.shape[:2], every), nobody)):
            scores += estimator.estimate(photo, boxes).keypoints[..., 2].mean(axis=1).tolist()
    print(f"{len(people)} people, {len(nobody)} boxes beside people")
    for bound in BOUNDS:
        reached = [100 * np.mean(np.array(scores) >= bound) for scores in (people, nobody)]
        print(f"{bound:.2f}: {reached[0]:.1f} % of people, {reached[1]:.1f} % of the others")


if __name__ == "__main__":
    main()
