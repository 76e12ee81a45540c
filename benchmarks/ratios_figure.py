"""Draws what `flpn ratios --json` found in several networks: the distinct maps of each stage by threshold.

python benchmarks/ratios_figure.py docs/ratios.png trained=a.json untrained=b.json smart=c.json
"""

import argparse
import json
from pathlib import Path

from flpn_tf.charts import new_figure, png
from flpn_tf.runtime.files import write_atomically

COLOURS = ("#4c78a8", "#72b7b2", "#f58518", "#e45756", "#b279a2", "#54a24b")


def draw(found: dict[str, dict]) -> bytes:
    """A PNG: the stages' mean SSIM, and a panel a network of distinct maps against the threshold."""
    figure = new_figure(3.1 * (1 + len(found)), 3.4)
    first, *panels = figure.subplots(1, 1 + len(found))
    for name, result in found.items():
        stages = [stage["stage"] for stage in result["stages"]]
        first.plot(stages, [stage["similarity"]["mean"] for stage in result["stages"]], "o-", label=name)
    first.set_title("mean SSIM of pairs", fontsize=9)
    first.set_ylim(bottom=0)
    first.legend(fontsize=8, frameon=False)
    for panel, (name, result) in zip(panels, found.items(), strict=True):
        for stage, colour in zip(result["stages"], COLOURS, strict=False):
            thresholds = [float(threshold) for threshold in stage["intrinsic_at"]]
            shares = [100 * share for share in stage["intrinsic_at"].values()]
            panel.plot(thresholds, shares, "o-", color=colour, label=stage["stage"], markersize=4)
        for ratio in result["ratios"]:
            panel.axhline(100 / ratio, color="#bbbbbb", linewidth=0.8, linestyle=":")
            panel.text(0.5, 100 / ratio + 1, f"1/{ratio}", fontsize=7, color="#777777")
        panel.axvline(result["threshold"], color="#bbbbbb", linewidth=0.8)
        panel.set_title(f"{name}: distinct maps, %", fontsize=9)
        panel.set(ylim=(0, 102), xlabel="SSIM from which maps are alike")
    panels[0].legend(fontsize=8, frameon=False, loc="lower right")
    for panel in (first, *panels):
        panel.tick_params(labelsize=8)
        panel.grid(color="#eeeeee", linewidth=0.6)
        panel.set_axisbelow(True)
    return png(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", type=Path)
    parser.add_argument("found", nargs="+", help="NAME=JSON")
    given = parser.parse_args()
    named = dict(part.partition("=")[::2] for part in given.found)
    found = {name: json.loads(Path(path).read_text()) for name, path in named.items()}
    write_atomically(given.picture, draw(found))


if __name__ == "__main__":
    main()
