"""The paper's Figure 6 on this machine's CPU: latency against multiply-adds, `make figure6`.

Every comparison network with random weights, at 256×192, one thread, all taking turns in one run. Writes
docs/figure6.png and docs/figure6.json. The converted networks stay in build/figure6 (1 GB): an interrupted
run goes on where it was, and a later one converts nothing unless the networks or the conversion have changed.
"""

import argparse
import itertools
import json
import os
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path

import numpy as np
from artefact_cache import REPOSITORY, open_cache

from flpn_tf.runtime.benchmark import ROUNDS, RUNS, Setting, measure_latencies
from flpn_tf.runtime.files import write_atomically

CACHE = REPOSITORY / "build" / "figure6"
JSON, PICTURE = (REPOSITORY / "docs" / f"figure6.{suffix}" for suffix in ("json", "png"))

# Family → name in `flpn_tf.models.catalogue` → label; the first of all is what ratios compare with.
FAMILIES = {
    "FLPN": {"flpn50": "50", "flpn101": "101", "flpn152": "152"},
    "FLPN-50 with another bottleneck": {
        "flpn50-standard": "standard",
        "flpn50-ghost": "ghost",
        "flpn50-mobilenetv3": "mobilenetv3",
        "flpn50-lpn": "lpn",
    },
    "LPN": {"lpn50": "50", "lpn101": "101", "lpn152": "152"},
    "SimpleBaseline": {"simplebaseline50": "50", "simplebaseline101": "101", "simplebaseline152": "152"},
    "SimpleBaseline-50 with another bottleneck": {
        "simplebaseline50-ghost": "ghost",
        "simplebaseline50-mobilenetv3": "mobilenetv3",
    },
}
NAMES = [name for members in FAMILIES.values() for name in members]
COLOURS = ("#d1495b", "#a8760c", "#30638e", "#5b5b66", "#8d96a3")
MARKERS = "osD^v"
# Where a label may stand: points away from its own, in which directions; beyond NEAR a line leads to it.
NEAR = 9
DISTANCES = (NEAR, 16, 24, 34, 46)
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


def notice(text: str) -> None:
    print(f"figure6: {text}", file=sys.stderr, flush=True)


def convert_all(formats: list[str]) -> dict[str, dict]:
    """Converts what the cache lacks; name → {"params", "macs"}."""
    open_cache(CACHE, Path(__file__))
    sizes = {}
    for index, name in enumerate(NAMES, 1):
        size = CACHE / f"{name}.json"
        missing = [to for to in formats if not tflite(name, to).is_file()]
        if missing or not size.is_file():
            notice(f"{index} of {len(NAMES)}: converting {name} to {', '.join(missing)}")
            convert_one(name, missing, size)
        sizes[name] = json.loads(size.read_text())
    return sizes


def tflite(name: str, to: str) -> Path:
    return CACHE / f"{name}_{to}.tflite"


def convert_one(name: str, formats: list[str], size: Path) -> None:
    from flpn_tf.frameworks import needs_tensorflow

    needs_tensorflow(as_backend=True)
    import keras

    from flpn_tf.complexity import measure
    from flpn_tf.convert.tflite import CALIBRATION_CROPS, INTEGER_FORMATS, convert_file
    from flpn_tf.models.catalogue import CATALOGUE

    keras.utils.set_random_seed(0)
    network = CATALOGUE[name].network(**CATALOGUE[name].arguments)
    counted = measure(network)
    crops = np.random.default_rng(0).integers(0, 256, (CALIBRATION_CROPS, *network.image_size, 3), np.uint8)
    settle(network, crops[:2])
    for to in formats:
        convert_file(network, to, tflite(name, to), crops if to in INTEGER_FORMATS else None)
    write_atomically(size, json.dumps({"params": counted.params, "macs": counted.macs}).encode())
    keras.backend.clear_session()


def settle(network, crops: np.ndarray) -> None:
    """Random weights as a trained network's would be: kernels not 0, maps normalised by batch norm.

    Else the maps grow with every block, and an int8 graph of such ranges is not the one that ships.
    """
    import keras

    rng = np.random.default_rng(0)
    for weight in network.trainable_weights:
        if len(weight.shape) > 1 and not np.any(weight.numpy()):
            weight.assign(rng.normal(0, 0.05, weight.shape))
    for layer in network._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(crops.astype(np.float32), training=True)


def measure_all(formats: list[str], sizes: dict[str, dict], rounds: int, runs: int) -> dict:
    settings = [Setting(tflite(name, to)) for to in formats for name in NAMES]
    load = os.getloadavg()[0]
    if load > 1:
        notice(f"the machine is busy (load {load:.1f}): what this measures is not worth keeping")
    latencies = measure_latencies(settings, rounds, runs, notice=notice)
    results = []
    for index, (setting, latency) in enumerate(zip(settings, latencies, strict=True)):
        name = NAMES[index % len(NAMES)]
        ratio, lowest, highest = latency.ratio(latencies[0])
        results.append(
            {
                "name": name,
                "format": formats[index // len(NAMES)],
                **sizes[name],
                "median_ms": latency.median_ms,
                "p90_ms": latency.p90_ms,
                "fastest_ms": latency.fastest_ms,
                "ratio": ratio,
                "ratio_lowest": lowest,
                "ratio_highest": highest,
                "size_mb": setting.path.stat().st_size / 1e6,
                "pieces": latency.pieces,
            }
        )
    return {
        "flops_convention": "macs",
        "weights": "random",
        "image_size": [256, 192],
        "threads": 1,
        "rounds": rounds,
        "runs": runs,
        "runtime": f"ai-edge-litert {version('ai-edge-litert')}",
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
        "results": results,
    }


def draw(found: dict) -> None:
    """Writes the picture: a panel a format, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    formats = list(dict.fromkeys(result["format"] for result in found["results"]))
    figure, panels = pyplot.subplots(
        1, len(formats), figsize=(7.5 * len(formats), 6.8), sharey=True, squeeze=False, dpi=110
    )
    for panel, to in zip(panels[0], formats, strict=True):
        draw_panel(panel, to, {r["name"]: r for r in found["results"] if r["format"] == to})
    panels[0][0].set_ylabel("latency of one forward pass, ms (median)")
    figure.subplots_adjust(left=0.1 / len(formats), right=0.99, top=0.94, bottom=0.25, wspace=0.04)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 0.08), ncols=2, frameon=False)
    caption = (
        f"256×192, batch 1, one thread of a server CPU, {found['runtime']} with XNNPACK; medians of "
        f"{found['rounds']} interleaved rounds of {found['runs']}. Multiply-adds: convention `macs` of `flpn "
        "models`. Random weights, which do not change the speed: so no AP is shown."
    )
    lines = textwrap.fill(caption, 90 * len(formats))
    figure.text(0.5, 0.02, lines, ha="center", va="bottom", fontsize=9)
    picture = CACHE / "figure6.png"
    figure.canvas.draw()
    for panel, to in zip(panels[0], formats, strict=True):
        label_points(panel, {r["name"]: r for r in found["results"] if r["format"] == to})
    figure.savefig(picture)
    write_atomically(PICTURE, picture.read_bytes())


def draw_panel(panel, to: str, results: dict[str, dict]) -> None:
    for (family, members), colour, marker in zip(FAMILIES.items(), COLOURS, MARKERS, strict=True):
        points = [place(results[name]) for name in members]
        joined = "-" if "another" not in family else ""
        panel.plot(*zip(*points, strict=True), joined + marker, color=colour, label=family, markersize=8)
    panel.set(xscale="log", yscale="log", title=to, xlabel="multiply-adds, G (macs)")
    panel.grid(which="both", color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.margins(0.14)
    for axis, ticks in ((panel.xaxis, (0.5, 1, 2, 5, 10, 20)), (panel.yaxis, (10, 20, 50, 100, 200, 500))):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)


def place(result: dict) -> tuple[float, float]:
    return result["macs"] / 1e9, result["median_ms"]


def on_screen(panel, points: list) -> np.ndarray:
    """Pixels of the points and of the lines between them."""
    corners = panel.transData.transform(points)
    steps = np.linspace(0, 1, 20)[:, np.newaxis]
    between = [(1 - steps) * a + steps * b for a, b in itertools.pairwise(corners)]
    return np.concatenate([corners, *between])


def label_points(panel, results: dict[str, dict]) -> None:
    """Writes each label at the nearest place to its point where it covers no point, line or label."""
    from matplotlib.text import Text

    renderer = panel.figure.canvas.get_renderer()
    drawn = [on_screen(panel, [place(results[name]) for name in members]) for members in FAMILIES.values()]
    pixels, taken = np.concatenate(drawn), []
    for members, colour in zip(FAMILIES.values(), COLOURS, strict=True):
        for name, label in members.items():
            for away, (x, y) in itertools.product(DISTANCES, SIDES):
                text = panel.annotate(
                    label,
                    place(results[name]),
                    (away * x, away * y),
                    textcoords="offset points",
                    ha={-1: "right", 0: "center", 1: "left"}[x],
                    va={-1: "top", 0: "center", 1: "bottom"}[y],
                    color=colour,
                    fontsize=10,
                    arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.6} if away > NEAR else None,
                )
                text.update_positions(renderer)
                box = Text.get_window_extent(text, renderer)  # without the line to the point
                leader = np.linspace(panel.transData.transform(text.xy), box.get_points().mean(0), 20)
                crossed = any(other.contains(*pixel) for other in taken for pixel in leader)
                covers = any(box.overlaps(other) for other in taken)
                if not (crossed or covers or any(box.padded(7).contains(*pixel) for pixel in pixels)):
                    break
                text.remove()
            else:
                notice(f"no free place for the label of {name}")
                continue
            taken.append(box)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("formats", nargs="*", default=["float16"], help="as of flpn convert --to")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--draw", action="store_true", help="the picture only, from the json")
    parser.add_argument("--convert", action="store_true", help="fill the cache only")
    given = parser.parse_args()
    if not given.draw:
        sizes = convert_all(given.formats)
        if given.convert:
            return
        found = measure_all(given.formats, sizes, given.rounds, given.runs)
        write_atomically(JSON, (json.dumps(found, indent=1) + "\n").encode())
    draw(json.loads(JSON.read_text()))


if __name__ == "__main__":
    main()
