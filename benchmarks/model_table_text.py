"""docs/metrics.json → the tables between their marks in README.md and docs/model_card.md."""

import re
from pathlib import Path

from flpn_tf.evaluation.summary import number
from flpn_tf.presets import ALIASES, FORMATS, shipped_weights
from flpn_tf.runtime.files import write_atomically

REPOSITORY = Path(__file__).resolve().parents[1]
METRICS = REPOSITORY / "docs" / "metrics.json"

# What the tables of flip and decoders show.
DECODERS = {
    "coco": ("AP", "AP50", "AP75", "APM", "APL", "AR", "PCK@0.2"),
    "lsp": ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean", "Mean@0.1"),
}
_MEASURED = {"coco": "AP", "lsp": "PCK of the torso"}
_ORDER = ("keras", *FORMATS)
_MARKS = "<!-- {name}: written by make table -->", "<!-- end of {name} -->"


def tables(found: dict) -> dict[str, tuple[Path, str]]:
    """Name of a mark → the file that has it, and the Markdown between."""
    readme, card = REPOSITORY / "README.md", REPOSITORY / "docs" / "model_card.md"
    named = {
        "models": (readme, models(found)),
        "metrics": (card, models(found)),
        "errors": (card, errors(found)),
        "latency": (card, latency(found)),
    }
    for dataset in DECODERS:
        named[f"decoders {dataset}"] = card, decoders(found, dataset)
    return named


def models(found: dict) -> str:
    """A row a file, and a line on what was measured, and how."""
    head = ("model", "parameters", "format", "AP", "lost to float", "PCK@0.2", "lost to float", "MB", "ms")
    weights, rows = shipped_weights(), []
    for name, model in in_order(found):
        preset, coco, lsp = model["preset"], model["data"]["coco"], model["data"]["lsp"]
        alias = next((alias for alias, of in ALIASES.items() if of == preset), None)
        timed = found["latency"]["models"].get(name)
        rows.append(
            (
                f"`{preset}`" + (f" (`{alias}`)" if alias else ""),
                f"{weights[preset]['parameters'] / 1e6:.2f} M",
                model["format"],
                number(coco["metrics"]["AP"], 1),
                lost(coco.get("drop", {}).get("AP")),
                number(lsp["metrics"]["Mean"], 1),
                lost(lsp.get("drop", {}).get("Mean")),
                number(model["size_mb"], 1),
                "" if timed is None else number(timed["median_ms"], 1),
            )
        )
    return f"{table(head, rows)}\n\n{how(found)}"


def how(found: dict) -> str:
    """What all rows have in common; different settings would be said one after the other."""
    parts = []
    for dataset, what in _MEASURED.items():
        rows = [model["data"][dataset] for model in found["models"].values()]
        said = ("data", "photos", "people", "boxes", "flip", "decode")
        settings = {tuple(row[name] for name in said) for row in rows}
        for data, photos, people, boxes, flip, decode in sorted(settings):
            flipped = "on" if flip else "off"
            of = f"`{data}`, {people} people in {photos} photos"
            parts.append(f"{what}: {of}, boxes: `{boxes}`, flip {flipped}, decoded by {decode}")
    timed = found["latency"]
    machine = f"one thread of a server's {timed['cores']} cores, load {timed['load_before']} before"
    return f"{'. '.join(parts)}. {found['made']}; {timed['runtime']}, {machine}."


def latency(found: dict) -> str:
    """A row a `.tflite`, behind the yardstick."""
    head = ("file", "ms", "times as fast as FLPN-50 int8", "in rounds", "pieces")
    rows = [
        (
            f"`{name}`" if name in found["models"] else name,
            number(timed["median_ms"]),
            number(timed["faster"]),
            f"{number(timed['faster_lowest'])}–{number(timed['faster_highest'])}",
            str(timed["pieces"]),
        )
        for name, timed in found["latency"]["models"].items()
    ]
    return table(head, rows)


def decoders(found: dict, dataset: str) -> str:
    """A row for flip on and off by each decoder, of every float16 file."""
    head = ("model", "flip", "decode", *DECODERS[dataset])
    rows = [
        (
            f"`{model['preset']}`",
            "on" if row["flip"] else "off",
            row["decode"],
            *(number(row[name], 1) for name in DECODERS[dataset]),
        )
        for _, model in in_order(found)
        for row in model["data"][dataset].get("decoders", ())
    ]
    return table(head, rows)


def errors(found: dict) -> str:
    """What becomes of labelled joints, of every `.keras` file."""
    rows, kinds = [], []
    for _, model in in_order(found):
        if model["format"] == "keras":
            for dataset, row in model["data"].items():
                kinds = list(row["errors"])
                shares = (f"{number(row['errors'][kind], 1)} %" for kind in kinds)
                rows.append((f"`{model['preset']}`", dataset, *shares))
    return table(("model", "data", *kinds), rows)


def in_order(found: dict) -> list[tuple[str, dict]]:
    """By preset, then from float to integers."""
    return sorted(found["models"].items(), key=lambda one: (one[1]["preset"], _ORDER.index(one[1]["format"])))


def lost(drop: dict | None) -> str:
    if drop is None:
        return ""
    return f"{drop['value']:.2f} ({drop['low']:.2f} to {drop['high']:.2f})".replace("-", "−")


def table(head, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rewritten(text: str, name: str, content: str) -> str:
    """`text` with what stands between a name's marks replaced.

    Raises:
        ValueError: the marks are missing.
    """
    start, end = (mark.format(name=name) for mark in _MARKS)
    pattern = re.compile(f"({re.escape(start)}\n).*?({re.escape(end)})", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"there is no place for the table. Received: {name=}")
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def rewrite(found: dict) -> list[Path]:
    """Writes the tables; the files that have them."""
    texts: dict[Path, str] = {}
    for name, (path, content) in tables(found).items():
        texts[path] = rewritten(texts.get(path) or path.read_text(), name, content)
    for path, text in texts.items():
        write_atomically(path, text.encode())
    return list(texts)
