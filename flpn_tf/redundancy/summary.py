"""What was measured of each layer and stage, in numbers for a json and for a table. Needs no TensorFlow."""

import numpy as np

from flpn_tf.errors import printable
from flpn_tf.plain_table import columns
from flpn_tf.redundancy.likeness import Likeness
from flpn_tf.redundancy.rule import Rule

BINS = 20  # of the histogram of similarities, over 0–1
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # that "intrinsic_at" tells


def summarise(found: list[Likeness], rule: Rule) -> dict:
    """Json-ready: {"layers": [...], "stages": [...]}, both in the network's order.

    An entry has "channels", "constant", "similarity" (of pairs: mean, median, p90, p99, max, and "histogram",
    the shares of `BINS` equal parts of 0–1), "alike" (share of maps that another one is like), "intrinsic"
    (share of distinct maps, see `intrinsic_share`), "intrinsic_error" (its standard error where only some
    maps were compared with all, else 0), "intrinsic_at" (it at other thresholds), "ratio" (t) and "fits"
    (whether t leaves as many intrinsic maps as are distinct). A layer's also has "layer", "stage", "height",
    "width", "filter_size", "pairs" and "sampled"; a stage's "layers", their number; its shares are means
    over all of its maps.
    """
    layers = [_layer(one, rule) for one in found]
    stages = []
    for stage in dict.fromkeys(one.stage for one in found):
        members = [one for one in found if one.stage == stage]
        stages.append({"stage": stage, "layers": len(members), **_entry(members, rule)})
    return {"layers": layers, "stages": stages}


def _layer(one: Likeness, rule: Rule) -> dict:
    facts = {"layer": one.layer, "stage": one.stage, "height": one.size[0], "width": one.size[1]}
    facts |= {"filter_size": one.filter_size, "pairs": len(one.pairs()), "sampled": one.sampled}
    return facts | _entry([one], rule)


def _entry(members: list[Likeness], rule: Rule) -> dict:
    channels = np.array([one.channels for one in members])
    pairs = np.concatenate([one.pairs() for one in members])
    # A stage's pairs weigh alike, those of a sampled layer no less.
    weights = np.concatenate([np.full(len(one.pairs()), _weight(one)) for one in members])
    histogram, _ = np.histogram(pairs, BINS, (0, 1), weights=weights)
    order = np.argsort(pairs)
    rising, below = pairs[order], np.cumsum(weights[order]) / weights.sum()

    def quantile(share: float) -> float:
        return float(rising[min(np.searchsorted(below, share), len(rising) - 1)])

    def intrinsic(threshold: float) -> float:
        return float(np.average([one.intrinsic_share(threshold) for one in members], weights=channels))

    share = intrinsic(rule.threshold)
    errors = np.array([one.intrinsic_error(rule.threshold) for one in members])
    return {
        "channels": int(channels.sum()),
        "constant": sum(one.constant for one in members),
        "similarity": {
            "mean": float(np.average(pairs, weights=weights)),
            "median": quantile(0.5),
            "p90": quantile(0.9),
            "p99": quantile(0.99),
            "max": float(rising[-1]),
            "histogram": [round(float(count / weights.sum()), 6) for count in histogram],
        },
        "alike": float(
            np.average([(one.alike(rule.threshold) > 0).mean() for one in members], weights=channels)
        ),
        "intrinsic": share,
        "intrinsic_at": {str(threshold): intrinsic(threshold) for threshold in THRESHOLDS},
        "intrinsic_error": float(np.sqrt(((channels / channels.sum() * errors) ** 2).sum())),
        "ratio": rule.ratio(share),
        "fits": rule.fits(share),
    }


def _weight(one: Likeness) -> float:
    return one.channels * (one.channels - 1) / 2 / len(one.pairs())


_HEADER = ("", "maps", "SSIM mean", "median", "p90", "alike", "distinct", "t")


def table(summary: dict, rule: Rule) -> str:
    """Text to read: a line a stage, its layers below it."""
    lines = [_HEADER]
    for stage in summary["stages"]:
        lines.append(_line(stage["stage"], stage))
        members = [layer for layer in summary["layers"] if layer["stage"] == stage["stage"]]
        if [member["layer"] for member in members] == [stage["stage"]]:
            continue
        lines += [_line(f"  {layer['layer']}", layer) for layer in members]
    return "\n".join([*columns(lines), "", _LEGEND.format(rule.threshold), *_notes(summary, rule)])


def _line(name: str, entry: dict) -> tuple[str, ...]:
    similarity = (f"{entry['similarity'][key]:.3f}" for key in ("mean", "median", "p90"))
    error = f" ± {100 * entry['intrinsic_error']:.1f}" if entry["intrinsic_error"] else ""
    shares = f"{100 * entry['alike']:.1f} %", f"{100 * entry['intrinsic']:.1f}{error} %"
    return printable(name), str(entry["channels"]), *similarity, *shares, ratio_in_words(entry)


def ratio_in_words(entry: dict) -> str:
    """t, with a star where none fits."""
    return f"{entry['ratio']}" if entry["fits"] else f"{entry['ratio']}*"


def _notes(summary: dict, rule: Rule) -> list[str]:
    notes = []
    if not all(entry["fits"] for part in ("layers", "stages") for entry in summary[part]):
        notes.append(
            f"*: t = {rule.ratios[0]} is the smallest to choose from; more maps than it leaves are distinct."
        )
    if sampled := sum(layer["sampled"] for layer in summary["layers"]):
        notes.append(f"±: in {sampled} layers only some maps were compared with all others; see --pairs.")
    if constant := [
        f"{layer['layer']} {layer['constant']}" for layer in summary["layers"] if layer["constant"]
    ]:
        notes.append(f"Maps that were constant on every crop, alike among themselves: {', '.join(constant)}.")
    sizes = {layer["filter_size"] for layer in summary["layers"]}
    if len(sizes) > 1:
        notes.append("SSIM's window is smaller on small maps; --filter-size gives all layers the same.")
    return notes


_LEGEND = """\
SSIM of pairs of maps, negative values taken for 0. alike: maps that another one is like, from SSIM {} on.
distinct: k maps that are all alike count as one. t: the largest ratio that leaves as many intrinsic maps."""
