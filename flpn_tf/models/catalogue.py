"""The networks of the paper's tables by name, and their sizes beside the printed ones."""

import sys
from dataclasses import dataclass, field

from flpn_tf.complexity import measure
from flpn_tf.models.flpn import FLPN
from flpn_tf.models.lpn import LPN
from flpn_tf.models.simple_baseline import SimpleBaseline
from flpn_tf.plain_table import columns

GIGA = {"macs": 1e9, "thop": 1e9, "hrnet": 1024**3}
"""What one printed G is worth in each FLOP convention of `flpn_tf.complexity`."""


@dataclass(frozen=True)
class Printed:
    """Size and cost as a paper prints them: decimal strings, so that the digits printed are known.

    Attributes:
        params: millions of parameters, or None where the figure was not checked.
        flops: G, in `convention`.
        convention: the counter of `flpn_tf.complexity` that the paper used.
        source: whose figures they are.
    """

    params: str | None
    flops: str
    convention: str = "thop"
    source: str = "FLPN paper"


@dataclass(frozen=True)
class Build:
    """One named network.

    Attributes:
        network: its class.
        arguments: of the constructor, beside the defaults.
        printed: what its paper says of it.
    """

    network: type = FLPN
    arguments: dict = field(default_factory=dict)
    printed: Printed | None = None


def _reference(network, depth, flops, source):
    return Build(network, {"depth": depth}, Printed(None, flops, "hrnet", source))


CATALOGUE = {
    # Table 1.
    "flpn50": Build(printed=Printed("10.04", "1.1")),
    "flpn101": Build(arguments={"depth": 101}, printed=Printed("17.0", "2.0")),
    "flpn152": Build(arguments={"depth": 152}, printed=Printed("22.5", "2.8")),
    # Other bottlenecks in the same network; the last three's printed figures are not known here.
    "flpn50-standard": Build(arguments={"block": "standard"}, printed=Printed("23.5465", "3.9537")),
    "flpn50-ghost": Build(arguments={"block": "ghost"}),
    "flpn50-mobilenetv3": Build(arguments={"block": "mobilenetv3"}),
    "flpn50-lpn": Build(arguments={"block": "lpn"}),
    # Ablations.
    "flpn50-nogc": Build(arguments={"global_context": False}, printed=Printed("7.51", "1.136")),
    "flpn50-maxpool": Build(arguments={"stem": "pooled"}, printed=Printed("8.80", "1.252")),
    "flpn50-8-2-2-2": Build(arguments={"ratios": (8, 2, 2, 2)}, printed=Printed("10.1922", "1.2638")),
    "flpn50-t2": Build(arguments={"ratios": (2, 2, 2, 2)}, printed=Printed("8.95", "1.314")),
    "flpn50-densedeconv": Build(arguments={"head_grouped": False}, printed=Printed("17.79", "3.525")),
    # Other networks, with their own papers' costs.
    "simplebaseline50": _reference(SimpleBaseline, 50, "8.99", "SimpleBaseline paper"),
    "simplebaseline101": _reference(SimpleBaseline, 101, "12.38", "SimpleBaseline paper"),
    "simplebaseline152": _reference(SimpleBaseline, 152, "15.76", "SimpleBaseline paper"),
    "simplebaseline50-ghost": Build(SimpleBaseline, {"block": "ghost"}),
    "simplebaseline50-mobilenetv3": Build(SimpleBaseline, {"block": "mobilenetv3"}),
    "lpn50": _reference(LPN, 50, "1.008", "LPN paper"),
    "lpn101": _reference(LPN, 101, "1.414", "LPN paper"),
    "lpn152": _reference(LPN, 152, "1.822", "LPN paper"),
}
"""Name → `Build`; all are for 256×192 crops and 17 keypoints unless their arguments say otherwise."""


def _agrees(value, printed):
    """Whether `value` is what was printed, rounded or cut to as many digits."""
    decimals = len(printed.partition(".")[2])
    return abs(value - float(printed)) < 10.0**-decimals


def _paper(build, params, flops):
    printed = build.printed
    if printed is None:
        return None
    unit = GIGA[printed.convention]
    pairs = [(flops[printed.convention] / unit, printed.flops)]
    if printed.params is not None:
        pairs.append((params / 1e6, printed.params))
    return {
        "printed": [printed.params, printed.flops],
        "params": None if printed.params is None else round(float(printed.params) * 1e6),
        "flops": round(float(printed.flops) * unit),
        "convention": printed.convention,
        "source": printed.source,
        "reproduced": all(_agrees(value, text) for value, text in pairs),
    }


def build_row(name, build=None):
    """Builds one network and measures it.

    Args:
        name: of the catalogue, or any.
        build: a `Build`; by default that of the name.

    Returns:
        {"name", "params", "non_trainable", "flops": {"macs", "thop", "hrnet"}, "paper"}: trainable
        parameters, the others, and FLOPs as plain ints; `paper` is None or {"printed", "params", "flops",
        "convention", "source", "reproduced"} in the same units, "printed" being the two as they are printed.
    """
    build = CATALOGUE[name] if build is None else build
    size = measure(build.network(**build.arguments))
    flops = {convention: getattr(size, convention) for convention in GIGA}
    return {
        "name": name,
        "params": size.params,
        "non_trainable": size.non_trainable,
        "flops": flops,
        "paper": _paper(build, size.params, flops),
    }


def build_rows(builds=None):
    """`build_row` of each of `builds` (name → `Build`; by default the catalogue), progress on stderr."""
    builds = CATALOGUE if builds is None else builds
    rows = []
    for index, (name, build) in enumerate(builds.items(), 1):
        print(f"{index}/{len(builds)} building {name}", file=sys.stderr, flush=True)
        rows.append(build_row(name, build))
    return rows


HEADER = ("name", "params", "others", "macs G", "thop G", "hrnet G", "paper: params", "FLOPs", "")


def render(rows):
    """The rows of `build_rows` as a plain-text table for reading."""
    cells = [HEADER]
    for row in rows:
        flops = [f"{row['flops'][convention] / unit:.4f}" for convention, unit in GIGA.items()]
        cells.append((row["name"], f"{row['params']:,}", f"{row['non_trainable']:,}", *flops, *_beside(row)))
    return "\n".join([*columns(cells, left=(0, -1)), "", _LEGEND])


def _beside(row):
    paper = row["paper"]
    if paper is None:
        return "-", "-", ""
    note = paper["source"] if paper["reproduced"] else "does not reproduce, see docs/paper.md"
    printed = paper["printed"]
    params = "-" if printed[0] is None else f"{printed[0]} M"
    return params, f"{printed[1]} G {paper['convention']}", note


_LEGEND = """\
params: trainable parameters; others: batch-norm statistics.
macs: true multiply-adds. thop: weights x output positions, so a stride-2 transposed convolution
counts four times, + batch norm and bias. hrnet: the same without those, in units of 1024^3.
All at 256x192, 17 keypoints, over the convolutions."""
