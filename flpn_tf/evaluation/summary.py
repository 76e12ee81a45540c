"""The result of an evaluation in words."""

from flpn_tf.errors import printable

# The paper's columns; the json has the others too.
_COLUMNS = {
    "coco": ("AP", "AP50", "AP75", "APM", "APL", "AR", "PCK@0.2"),
    "mpii": ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean", "Mean@0.1"),
}
_COLUMNS["lsp"] = _COLUMNS["mpii"]
_HAS = {"model": "has", "data": "have"}


def about(result: dict) -> list[str]:
    """Lines on what was measured, and how, of a `result` of `evaluate`."""
    settings = {key: result[key] for key in ("boxes", "flip", "decode", "nms") if result[key] is not None}
    settings |= {key: "on" if value else "off" for key, value in settings.items() if isinstance(value, bool)}
    settings = settings or {"poses": result["model"]}
    how = ", ".join(f"{key}: {value}" for key, value in settings.items())
    if result["metrics"]:
        lines = [f"{result['dataset']}, {result['people']} people, {result['poses']} poses, {how}"]
    else:
        lines = [f"{result['poses']} poses, {how}; no annotations, so nothing is measured"]
    lines += [f"left out, {reason}: {count}" for reason, count in result["left_out"].items()]
    for who, joints in (("model", result["unmatched"]), ("data", result["unmeasured"])):
        if joints:
            lines.append(f"left out, joints that the {who} {_HAS[who]} not: {', '.join(joints)}")
    if result["measure"]:
        lines.append(result["measure"])
    return [printable(line) for line in lines]


def table(result: dict) -> list[str]:
    """Two lines: the paper's columns, and their numbers."""
    columns = [name for name in _COLUMNS[result["dataset"]] if name in result["metrics"]]
    return [
        "".join(f"{name:>10}" for name in columns),
        "".join(f"{number(result['metrics'][name]):>10}" for name in columns),
    ]


def errors(result: dict, found: int) -> str:
    """A line on what becomes of labelled joints, of the `found` people who have a pose."""
    kinds = result["errors"]["all"]
    people = f"all {found}" if found == result["people"] else f"{found} of {result['people']}"
    return f"labelled joints of {people} people: " + ", ".join(
        f"{kind} {number(share, 1)} %" for kind, share in kinds.items()
    )


def number(value: float | None, decimals: int = 2) -> str:
    """As tables show it."""
    return "-" if value is None else f"{value:.{decimals}f}"
