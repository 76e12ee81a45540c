"""A person detector on a data set: the AP of its boxes, and of the poses found in them.

python benchmarks/detector_ap.py DETECTOR [DATA [DETECTIONS.json [MODEL]]]

DATA is a COCO-format folder. Its people's boxes are the truth, those of crowds count neither way
(pycocotools, bbox, 100 boxes a photo). DETECTIONS is what `flpn evaluate --boxes` takes; MODEL's keypoint AP
is measured with these boxes and with the people's own.
"""

import contextlib
import io
import json
import sys
import time
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.evaluation.found import GROUND_TRUTH
from flpn_tf.presets import DEFAULT_MODEL
from flpn_tf.runtime.detectors import open_detector
from flpn_tf.runtime.files import write_atomically
from flpn_tf.runtime.images import read_image

MIN_SCORE = 0.01  # AP counts every box, be it unlikely
PLACES = {"AP": 0, "AP50": 1, "AP75": 2, "AR": 8}  # in COCOeval's numbers


def find_people(detector, data: Path, photos, category: int) -> list[dict]:
    """The boxes in COCO's results format; prints how long the detector took."""
    found, seconds = [], []
    for photo in photos:
        image = read_image(data / "images" / photo["file_name"])
        begun = time.perf_counter()
        people = detector(image)
        seconds.append(time.perf_counter() - begun)
        found += [
            {"image_id": photo["id"], "category_id": category, "bbox": box, "score": score}
            for box, score in zip(people.boxes.tolist(), people.scores.tolist(), strict=True)
        ]
    seconds.sort()
    print(f"{len(found)} boxes in {len(photos)} photos, {1000 * seconds[len(seconds) // 2]:.1f} ms each")
    return found


def box_ap(truth: COCO, found: list[dict]) -> dict[str, float]:
    """0–100, by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return {name: 100 * float(evaluator.stats[place]) for name, place in PLACES.items()}


def row(title: str, metrics) -> None:
    print(f"{title:44} {'  '.join(f'{name} {metrics[name]:5.1f}' for name in PLACES)}")


def main(path: str, data: str = "../shared/data/coco_val", output=None, model: str = DEFAULT_MODEL) -> None:
    data = Path(data)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(data / "annotations.json")
    (category,) = truth.getCatIds(catNms=["person"])
    detector = open_detector(path, min_score=MIN_SCORE)
    found = find_people(detector, data, truth.dataset["images"], category)
    row("boxes", box_ap(truth, found))
    if output is not None:
        write_atomically(output, json.dumps(found).encode())
        for boxes in (GROUND_TRUTH, output):
            row(f"poses of {model}, boxes {boxes}", evaluate(model, data, boxes=boxes).result["metrics"])


if __name__ == "__main__":
    main(*sys.argv[1:])
