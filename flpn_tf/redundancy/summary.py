"""What was measured of each layer and stage, in numbers for a json and for a table. Needs no TensorFlow."""

import numpy as np

from flpn_tf.redundancy.measure import Likeness
from flpn_tf.redundancy.rule import Rule

BINS = 20  # of the histogram of similarities, over 0–1
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # that "intrinsic_at" tells


def summarise(found: list[Likeness], rule: Rule) -> dict:
    """Json-ready: {"layers": [...], "stages": [...]}, both in the network's order.

    An entry has "channels", "constant", "similarity" (of pairs: mean, median, p90, p99, max, and "histogram" of
    `BINS` counts over 0–1), "alike" (share of maps that another one is like), "intrinsic" (share of
    distinct maps, see `intrinsic_share`), "intrinsic_at" (the same at other thresholds) and "ratio" (t). A
    layer's also "layer", "stage", "height", "width", "filter_size", "pairs" and "sampled"; a stage's "layers",
    its shares are means over all of its maps.
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
    below = np.cumsum(weights[order]) / weights.sum()

    def quantile(share: float) -> float:
        return float(pairs[order][min(np.searchsorted(below, share), len(pairs) - 1)])

    def intrinsic(threshold: float) -> float:
        return float(np.average([one.intrinsic_share(threshold) for one in members], weights=channels))

    share = intrinsic(rule.threshold)
    return {
        "channels": int(channels.sum()),
        "constant": sum(one.constant for one in members),
        "similarity": {
            "mean": float(np.average(pairs, weights=weights)),
            "median": quantile(0.5),
            "p90": quantile(0.9),
            "p99": quantile(0.99),
            "max": float(pairs.max()),
            "histogram": [round(float(count / weights.sum()), 6) for count in histogram],
        },
        "alike": float(
            np.average([(one.alike(rule.threshold) > 0).mean() for one in members], weights=channels)
        ),
        "intrinsic": share,
        "intrinsic_at": {str(threshold): intrinsic(threshold) for threshold in THRESHOLDS},
        "ratio": rule.ratio(share),
    }


def _weight(one: Likeness) -> float:
    return one.channels * (one.channels - 1) / 2 / len(one.pairs())
