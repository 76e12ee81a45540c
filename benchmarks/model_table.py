"""How good and how fast every shipped `.tflite` is: `make table`.

Measures each, and the `.keras` file that it is made from, on both validation sets (ground-truth boxes, no
flip, the model's own decoding), the float16 file also with flip and with every decoder; latency in turns with
FLPN-50's int8 file. Writes docs/metrics.json, and from it the tables in README.md and docs/model_card.md.

python benchmarks/model_table.py COCO_FORMAT_FOLDER LSP_FOLDER      all of it
python benchmarks/model_table.py                                    the tables alone, from docs/metrics.json
"""

import datetime
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import figure6
from artefact_cache import REPOSITORY, open_cache
from model_table_text import DECODERS, METRICS, rewrite

from flpn_tf.codec import DECODE_RULES
from flpn_tf.evaluation.compare import compare
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.presets import FORMATS, assets_folder, shipped_models, weights_path
from flpn_tf.runtime.benchmark import Setting, measure_latencies
from flpn_tf.runtime.files import sha256_of, write_atomically

YARDSTICK = "flpn50"  # the paper's network, of random weights, which do not change the speed


def notice(text: str) -> None:
    print(f"table: {text}", file=sys.stderr, flush=True)


def preset_of(stem: str) -> tuple[str, str]:
    """(preset, format) of an artefact's name."""
    to = max((to for to in FORMATS if stem.endswith(f"_{to}")), key=len)
    return stem.removesuffix(f"_{to}"), to


def measured(stem: str, folders: dict[str, str], in_float: dict) -> dict:
    """An artefact's record, without its latency.

    Args:
        stem: its name.
        folders: data sets by protocol.
        in_float: `Evaluation`s of its preset's `.keras` file by protocol.
    """
    preset, to = preset_of(stem)
    path = assets_folder() / f"{stem}.tflite"
    record = about(path, preset, to)
    for dataset, folder in folders.items():
        notice(f"{stem} on {dataset}")
        found = evaluate(stem, folder, dataset=dataset)
        row = facts(found)
        if to != "float32":
            row["drop"] = {name: drop.to_dict() for name, drop in compare(found, in_float[dataset]).items()}
        if to == "float16":
            row["decoders"] = decoders(stem, folder, dataset, found)
        record["data"][dataset] = row
    return record


def about(path: Path, preset: str, to: str) -> dict:
    """A file's record before anything is measured."""
    size = round(path.stat().st_size / 1e6, 3)
    return {"preset": preset, "format": to, "sha256": sha256_of(path), "size_mb": size, "data": {}}


def facts(found) -> dict:
    """Of an `Evaluation`: what was measured, and how."""
    kept = ("metrics", "people", "boxes", "flip", "decode", "data", "data_sha256")
    photos = len({record.image_id for record in found.people.records})
    return {name: found.result[name] for name in kept} | {
        "photos": photos,
        "errors": found.result["errors"]["all"],
    }


def decoders(stem: str, folder: str, dataset: str, known) -> list[dict]:
    """With flip and without, by every decoder; `known` is the `Evaluation` of one of these."""
    rows = []
    for flip in (False, True):
        for rule in DECODE_RULES:
            how = {"flip": flip, "decode": rule}
            found = known
            if any(known.result[name] != value for name, value in how.items()):
                notice(f"{stem} on {dataset}, flip {'on' if flip else 'off'}, {rule}")
                found = evaluate(stem, folder, dataset=dataset, flip_test=flip, decode=rule)
            rows.append(how | {name: found.result["metrics"][name] for name in DECODERS[dataset]})
    return rows


def latencies(stems: list[str]) -> dict:
    """Of all in turns, FLPN-50's int8 file among them."""
    open_cache(figure6.CACHE, figure6.REPOSITORY / "benchmarks" / "figure6.py")
    yardstick = figure6.tflite(YARDSTICK, "int8")
    if not yardstick.is_file():
        notice(f"converting {YARDSTICK} to int8")
        figure6.convert_one(YARDSTICK, ["int8"], figure6.CACHE / f"{YARDSTICK}.json")
    paths = {f"{YARDSTICK}_int8": yardstick}
    paths |= {f"{stem}.tflite": assets_folder() / f"{stem}.tflite" for stem in stems}
    load = os.getloadavg()[0]
    if load > 1:
        notice(f"the machine is busy (load {load:.1f}): trust the ratios only")
    found = measure_latencies([Setting(path) for path in paths.values()], notice=notice)
    rows = {}
    for name, latency in zip(paths, found, strict=True):
        ratio, lowest, highest = found[0].ratio(latency)  # how many times as fast
        rows[name] = {
            "median_ms": round(latency.median_ms, 2),
            "faster": round(ratio, 2),
            "faster_lowest": round(lowest, 2),
            "faster_highest": round(highest, 2),
            "pieces": latency.pieces,
        }
    runtime = f"ai-edge-litert {version('ai-edge-litert')}"
    return {"runtime": runtime, "cores": os.cpu_count(), "load_before": round(load, 1), "models": rows}


def measure(coco: str, lsp: str) -> dict:
    stems, folders = shipped_models(), {"coco": coco, "lsp": lsp}
    timed = latencies(stems)  # first: an evaluation leaves a warm, busy machine
    models = {}
    for preset in dict.fromkeys(preset_of(stem)[0] for stem in stems):
        weights = weights_path(preset)
        in_float = {
            dataset: evaluate(weights, folder, dataset=dataset) for dataset, folder in folders.items()
        }
        measures = {dataset: facts(found) for dataset, found in in_float.items()}
        models[weights.name] = about(weights, preset, "keras") | {"data": measures}
        for stem in stems:
            if preset_of(stem)[0] == preset:
                models[f"{stem}.tflite"] = measured(stem, folders, in_float)
    return {"made": datetime.date.today().isoformat(), "latency": timed, "models": models}


def main(*folders: str) -> None:
    if len(folders) not in (0, 2):
        sys.exit(__doc__)
    if folders:
        found = measure(*folders)
        write_atomically(METRICS, (json.dumps(found, indent=1) + "\n").encode())
    for path in rewrite(json.loads(METRICS.read_text())):
        notice(f"wrote {path.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
