"""Where the time of `flpn evaluate` goes: in the network, or in what surrounds it.

python benchmarks/evaluation.py [DATA]

1. `evaluate` of 1,000 people of DATA, a COCO-format folder whose people are repeated to that number: how much
   of its time passes inside the network. FLPN-50 (256x192, weights drawn at random) as `.tflite` and as
   `.keras`, and the shipped model. Loading the model, reading annotations and photos and AP are all counted,
   and so is, as no work of the network's, compiling the function of a `.keras` file.
2. Decoding, affines and OKS-NMS of 1,000 people on one core, without any network.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from flpn_tf import FLPN
from flpn_tf.codec import DECODE_RULES, HeatmapCodec
from flpn_tf.convert.tflite import convert_file
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.evaluation.pose_set import PoseSet
from flpn_tf.geometry import crop_affine, shown_area
from flpn_tf.presets import DEFAULT_MODEL
from flpn_tf.runtime import estimator
from flpn_tf.skeleton import COCO_17

PEOPLE = 1000
PEOPLE_A_PHOTO = 4
SIZE = (256, 192)


class Timed:
    """A backend that knows how long it was at work.

    A first batch of some size may be compiled for: the time of its repetition counts, and what it took longer
    is none of the network's.
    """

    seconds = repeated = 0.0
    sizes: set[int] = set()

    def __init__(self, backend):
        self.backend, self.spec = backend, backend.spec

    def predict(self, crops):
        heatmaps, seconds = self._predict(crops)
        if len(crops) not in Timed.sizes:
            Timed.sizes.add(len(crops))
            heatmaps, seconds = self._predict(crops)
            Timed.repeated += seconds
        Timed.seconds += seconds
        return heatmaps

    def _predict(self, crops):
        begun = time.perf_counter()
        heatmaps = self.backend.predict(crops)
        return heatmaps, time.perf_counter() - begun


def repeated(data: Path, folder: Path) -> Path:
    """A data set of `PEOPLE` people of `data`, each copy of a photo with ids of its own."""
    content = json.loads((data / "annotations.json").read_text())
    photos = {image["id"]: image for image in content["images"]}
    places = {image_id: place for place, image_id in enumerate(photos)}
    people = [a for a in content["annotations"] if a.get("num_keypoints") and not a.get("iscrowd")]
    images, annotations = {}, []
    for number in range(PEOPLE):
        annotation = people[number % len(people)]
        image_id = number // len(people) * len(photos) + places[annotation["image_id"]]
        images[image_id] = photos[annotation["image_id"]] | {"id": image_id}
        annotations.append(annotation | {"id": number + 1, "image_id": image_id})
    content |= {"images": list(images.values()), "annotations": annotations}
    (folder / "annotations.json").write_text(json.dumps(content))
    (folder / "images").symlink_to((data / "images").resolve())
    return folder


def network_share(name: str, model, data: Path) -> None:
    Timed.seconds = Timed.repeated = 0.0
    Timed.sizes = set()
    begun = time.perf_counter()
    found = evaluate(model, data)
    wall = time.perf_counter() - begun - Timed.repeated
    print(
        f"{name:24} {found.result['people']} people, {wall:6.1f} s, {PEOPLE / wall:6.1f} a second, "
        f"{100 * Timed.seconds / wall:5.1f} % in the network"
    )


def surroundings() -> None:
    rng = np.random.default_rng(0)
    codec = HeatmapCodec(SIZE[0] // 4, SIZE[1] // 4)
    points = rng.uniform(0, 1, (PEOPLE, len(COCO_17), 2)) * (SIZE[1], SIZE[0])
    heatmaps = np.stack([codec.encode(joints, np.ones(len(COCO_17)))[0] for joints in points])
    heatmaps += rng.uniform(0, 0.05, heatmaps.shape).astype(np.float32)
    boxes = np.column_stack([rng.uniform(0, 300, (PEOPLE, 2)), rng.uniform(40, 300, (PEOPLE, 2))])
    image_ids = np.arange(PEOPLE) // PEOPLE_A_PHOTO
    for rule in DECODE_RULES:
        begun = time.perf_counter()
        codec = HeatmapCodec(SIZE[0] // 4, SIZE[1] // 4, decode_rule=rule)
        keypoints, scores, areas = [], [], []
        for start in range(0, PEOPLE, 32):
            affines = [crop_affine(box, *SIZE) for box in boxes[start : start + 32]]
            batch = estimator.decode_poses(codec, heatmaps[start : start + 32], affines)
            keypoints.append(batch[0])
            scores.append(batch[1])
            areas += [shown_area(affine, *SIZE) for affine in affines]
        poses = PoseSet(image_ids, np.concatenate(keypoints), np.concatenate(scores), np.array(areas))
        kept = poses.suppressed("oks", COCO_17.sigmas)
        seconds = time.perf_counter() - begun
        print(f"{rule:24} {seconds:6.3f} s for decode + affine + NMS of {PEOPLE} people, {len(kept)} stay")


def main(data: Path) -> None:
    opened = estimator.open_backend
    estimator.open_backend = lambda *arguments: Timed(opened(*arguments))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        people = repeated(data, folder)
        network = FLPN(depth=50)
        network.save(folder / "flpn50.keras")
        convert_file(network, "float32", folder / "flpn50.tflite")
        network_share("FLPN-50, .tflite", folder / "flpn50.tflite", people)
        network_share("FLPN-50, .keras", folder / "flpn50.keras", people)
        network_share(DEFAULT_MODEL, DEFAULT_MODEL, people)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    surroundings()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/coco_train"))
