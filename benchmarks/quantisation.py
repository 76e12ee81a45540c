"""int8 by five ways, in one table: `make quantisation`.

python benchmarks/quantisation.py RUNS PEOPLE CALIBRATION LSP COCO

From the shipped network, whatever is not in the folder RUNS yet:

    PTQ                  the shipped weights, converted with calibration crops
    float + PTQ          trained on by qat_192x160.yaml without quantisation, then the same
    QAT keras, QAT tfmot trained on by qat_192x160.yaml, by each backend
    ai-edge-quantizer    the shipped weights' float32 `.tflite`, with the same calibration crops

Every int8 file beside the shipped network in float: PCK on LSP and AP on COCO, the drop with the 95 %
interval of a paired bootstrap over photos. PEOPLE is a COCO json; a quarter of its photos is trained on.
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from flpn_tf.convert.tflite import CALIBRATION_CROPS, convert_file, float_tensors
from flpn_tf.data.crops import sample_crops
from flpn_tf.data.sources import read_people
from flpn_tf.evaluation.compare import compare
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.models.load import load_network
from flpn_tf.runtime.files import write_json
from flpn_tf.runtime.interpreter import open_interpreter
from flpn_tf.spec import PoseSpec

SHIPPED = Path("training/weights/flpn_mobile_people_192x160.keras")
CONFIG = "training/configs/qat_192x160.yaml"
SHARE = 4  # every fourth photo
TRAINED = {
    "float + PTQ": ("float", ["qat=false"]),
    "QAT keras": ("keras", []),
    "QAT tfmot": ("tfmot", ["--qat-backend", "tfmot"]),
}


def subset(people: Path, output: Path) -> Path:
    """The json of a part of the photos, and of who is in them."""
    if not output.exists():
        document = json.loads(people.read_text())
        document["images"] = document["images"][::SHARE]
        kept = {image["id"] for image in document["images"]}
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] in kept]
        write_json(output, json.dumps(document))
    return output


def train(runs: Path, data: Path, images: Path) -> None:
    for folder, options in TRAINED.values():
        if not (runs / folder / "model.keras").exists():
            command = [sys.executable, "-m", "flpn_tf", "train", CONFIG, *options, "--data", data]
            command += ["--images", images, "--output", runs / folder, "--init", SHIPPED]
            subprocess.run([str(part) for part in command], check=True)


def by_ai_edge_quantizer(network, crops, output: Path) -> Path:
    """The float32 file's operations quantised one by one, where the tool has a rule for them."""
    from ai_edge_quantizer import quantizer, recipe

    plain = convert_file(network, "float32", output.with_name("float32.tflite"))
    bare = output.with_name("bare.tflite")
    bare.write_bytes(plain.read_bytes())
    tool = quantizer.Quantizer(str(bare))
    tool.load_quantization_recipe(recipe.static_wi8_ai8())
    found = tool.calibrate({"serving_default": [{"image": crop[None]} for crop in crops]})
    content = bytes(tool.quantize(found).quantized_model)
    bare.write_bytes(content)
    heatmaps = open_interpreter(bare).get_output_details()[0]
    scale, zero_point = heatmaps["quantization"]
    spec = dataclasses.replace(
        PoseSpec.read_from_tflite(plain),
        output_dtype=np.dtype(heatmaps["dtype"]).name,
        output_scale=float(scale),
        output_zero_point=int(zero_point),
    )
    output.write_bytes(spec.append_to_tflite(content))
    return output


def artefacts(runs: Path, calibration: Path) -> dict[str, Path]:
    """Name → int8 file."""
    shipped = load_network(SHIPPED)
    records = read_people(calibration).records
    crops = sample_crops(records, CALIBRATION_CROPS, *shipped.image_size, shipped.pose_spec().padding)
    made = {"PTQ": runs / "ptq.tflite"}
    convert_file(shipped, "int8", made["PTQ"], crops)
    for name in ("float + PTQ", "QAT keras"):
        folder = runs / TRAINED[name][0]
        made[name] = convert_file(load_network(folder / "model.keras"), "int8", folder / "int8.tflite", crops)
    made["QAT tfmot"] = runs / "tfmot" / "model_int8.tflite"
    made["ai-edge-quantizer"] = by_ai_edge_quantizer(shipped, crops, runs / "aeq.tflite")
    return made


def main(runs, people, calibration, lsp, coco) -> None:
    runs, people = Path(runs), Path(people)
    runs.mkdir(parents=True, exist_ok=True)
    train(runs, subset(people / "annotations.json", runs / "people.json"), people / "images")
    sets = {"Mean": (lsp, "lsp"), "AP": (coco, "coco")}

    def measured(model, metric):
        folder, protocol = sets[metric]
        return evaluate(model, folder, dataset=protocol)

    before = {metric: measured(SHIPPED, metric) for metric in sets}
    figures = [f"{found.result['metrics'][metric]:.2f}" for metric, found in before.items()]
    print("| | LSP PCK@0.2 | drop | COCO AP | drop | float tensors | MB |")
    print("|---|---|---|---|---|---|---|")
    print(f"| float | {figures[0]} | | {figures[1]} | | | {SHIPPED.stat().st_size / 1e6:.2f} |", flush=True)
    models = artefacts(runs, Path(calibration))
    # What training simulates, and the trained network without int8: what each step costs.
    models |= {f"{name}, before conversion": runs / TRAINED[name][0] / "model.keras" for name in TRAINED}
    for name, model in models.items():
        cells = []
        for metric in sets:
            found = measured(model, metric)
            drop = compare(found, before[metric])[metric]
            cells += [
                f"{found.result['metrics'][metric]:.2f}",
                f"{drop.value:.2f} ({drop.low:.2f} to {drop.high:.2f})",
            ]
        floats = len(float_tensors(model.read_bytes())) if model.suffix == ".tflite" else ""
        print(f"| {name} | {' | '.join(cells)} | {floats} | {model.stat().st_size / 1e6:.2f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
