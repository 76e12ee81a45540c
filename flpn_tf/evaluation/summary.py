"""The result of an evaluation in words."""

from flpn_tf.errors import printable

# The paper's columns; the json has the others too.
_COLUMNS = {
    "coco": ("AP", "AP50", "AP75", "APM", "APL", "AR", "PCK@0.2"),
    "mpii": ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean", "Mean@0.1"),
}
_COLUMNS["lsp"] = _COLUMNS["mpii"]


def about(result: dict) -> list[str]:
    """Lines on what was measured, and how, of a `result` of `evaluate`."""
    settings = {key: result[key] for key in ("boxes", "flip", "decode", "nms") if result[key] is not None}
    settings |= {key: "on" if value else "off" for key, value in settings.items() if isinstance(value, bool)}
    how = ", ".join(f"{key}: {value}" for key, value in settings.items())
    if not result["metrics"]:
        return [printable(f"{result['poses']} poses, {how}; no annotations, so nothing is measured")]
    lines = [f"{result['dataset']}, {result['people']} people, {result['poses']} poses, {how}"]
    lines += [f"left out, {reason}: {count}" for reason, count in result["left_out"].items()]
    return [printable(line) for line in lines]


def table(result: dict) -> list[str]:
    """Two lines: the paper's columns, and their numbers."""
    columns = [name for name in _COLUMNS[result["dataset"]] if name in result["metrics"]]
    return [
        "".join(f"{name:>10}" for name in columns),
        "".join(f"{number(result['metrics'][name]):>10}" for name in columns),
    ]


def errors(result: dict) -> str:
    """A line on what becomes of labelled joints."""
    kinds = result["errors"]["all"]
    return "labelled joints of people found: " + ", ".join(
        f"{kind} {number(share, 1)} %" for kind, share in kinds.items()
    )


def number(value: float | None, decimals: int = 2) -> str:
    """As tables show it."""
    return "-" if value is None else f"{value:.{decimals}f}"
