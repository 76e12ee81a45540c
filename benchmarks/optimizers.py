"""Adam and Muon at some learning rates, each from nothing: `make bench-optimizers`.

FLPN-50 of half the width on 96×64 crops, two epochs of 6,144 people, measured on the people whose photos are
held out. A run takes four minutes on two cores. Runs that have ended are not repeated.

python benchmarks/optimizers.py COCO_FORMAT_FOLDER RUNS [OPTIMIZER:LEARNING_RATE …]
"""

import csv
import dataclasses
import json
import random
import sys
from pathlib import Path

from flpn_tf.data.augment import Augmentation
from flpn_tf.data.holdout import hold_out
from flpn_tf.data.sources import locate, read_people
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.runtime.files import write_atomically
from flpn_tf.training.config import Config, ModelConfig, ScheduleConfig, ValidationConfig
from flpn_tf.training.fit import train

PEOPLE, HELD = 6144, 0.02
TRIALS = ("adam:0.002", "adam:0.006", "muon:0.002", "muon:0.006")
CONFIG = Config(
    ModelConfig(width=0.5, image_size=(96, 64)),
    Augmentation(rotation=20.0, scale=0.2),
    ScheduleConfig(epochs=2, batch_size=32, schedule="cosine", warmup_steps=50, ema=0.98),
    validation=ValidationConfig(every=0),
)


def parts(data: str, runs: Path) -> tuple[Path, Path, Path]:
    """Annotations of the people to train on and to measure on, and their photos' folder."""
    source, photos = locate(data)
    document = json.loads(source.read_text())
    _, held = hold_out(read_people(data), HELD)
    kept_out = {record.image_id for record in held.records}
    others = [image["id"] for image in document["images"] if image["id"] not in kept_out]
    random.Random(0).shuffle(others)
    written = []
    for name, chosen in (("trained_on", set(others[:PEOPLE])), ("measured_on", kept_out)):
        part = {
            "images": [image for image in document["images"] if image["id"] in chosen],
            "annotations": [one for one in document["annotations"] if one["image_id"] in chosen],
            "categories": document["categories"],
        }
        written.append(runs / f"{name}.json")
        write_atomically(written[-1], json.dumps(part).encode())
    return *written, photos


def main(data: str, runs: str, *trials: str) -> None:
    runs = Path(runs)
    runs.mkdir(parents=True, exist_ok=True)
    trained_on, measured_on, photos = parts(data, runs)
    print("| optimiser | learning rate | last epoch's loss | PCK@0.2 | AP |\n|---|---|---|---|---|")
    for trial in trials or TRIALS:
        optimizer, _, rate = trial.partition(":")
        schedule = dataclasses.replace(CONFIG.schedule, optimizer=optimizer, learning_rate=float(rate))
        output = runs / trial.replace(":", "_")
        # Of a run that has ended it only writes the model again; of other people it refuses.
        train(dataclasses.replace(CONFIG, schedule=schedule), trained_on, output, images=photos)
        with (output / "log.csv").open() as stream:
            *_, last = csv.DictReader(stream)
        metrics = evaluate(output / "model.keras", measured_on, photos).result["metrics"]
        loss, pck, ap = float(last["loss"]), metrics["PCK@0.2"], metrics["AP"]
        print(f"| {optimizer} | {rate} | {loss:.5f} | {pck:.1f} | {ap:.2f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
