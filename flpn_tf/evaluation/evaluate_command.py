"""What `flpn evaluate` does."""

import json
from pathlib import Path

from flpn_tf.errors import InputError, printable
from flpn_tf.evaluation.evaluate import GROUND_TRUTH, evaluate
from flpn_tf.runtime import files

# The paper's columns; the json has the others too.
_COLUMNS = {
    "coco": ("AP", "AP50", "AP75", "APM", "APL", "AR", "PCK@0.2"),
    "mpii": ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean", "Mean@0.1"),
}
_COLUMNS["lsp"] = _COLUMNS["mpii"]


def run(
    model,
    data,
    images=None,
    json_to: str | None = None,
    results: Path | None = None,
    report: Path | None = None,
    **options,
) -> None:
    """Evaluates, prints a table and writes what is asked for.

    Args:
        model, data, images, options: of `evaluate`.
        json_to: file for the metrics, or `files.STANDARD_OUTPUT`, which leaves out the table.
        results: file for the poses as COCO's evaluation server takes them.
        report: `.html` or `.png` that shows where the model fails.

    Raises:
        InputError: as `evaluate`, or an output that cannot be written or would overwrite another or an input.
    """
    _check_outputs(model, data, options.get("boxes", GROUND_TRUTH), json_to, results, report)
    found = evaluate(model, data, images, **options)
    if found.people is None and results is None:
        raise InputError(f"{data}: has no annotations, so there is nothing to measure; ask for --results")
    if results is not None:
        files.write_atomically(results, found.poses_json().encode())
    if report is not None:
        from flpn_tf.evaluation.report import write_report

        write_report(report, found)
    text = json.dumps(found.result, indent=1) + "\n"
    if json_to is not None:
        files.write_json(json_to, text)
    if json_to != files.STANDARD_OUTPUT:
        print(table(found.result))


def table(result: dict) -> str:
    """The lines that `flpn evaluate` prints of a `result` of `evaluate`."""
    settings = {key: result[key] for key in ("boxes", "flip", "decode", "nms") if result[key] is not None}
    settings |= {key: "on" if value else "off" for key, value in settings.items() if isinstance(value, bool)}
    about = [f"{key}: {value}" for key, value in settings.items()]
    if not result["metrics"]:
        return printable(
            f"{result['poses']} poses, {', '.join(about)}; no annotations, so nothing is measured"
        )
    lines = [f"{result['dataset']}, {result['people']} people, {result['poses']} poses, {', '.join(about)}"]
    lines += [f"left out, {reason}: {count}" for reason, count in result["left_out"].items()]
    columns = [name for name in _COLUMNS[result["dataset"]] if name in result["metrics"]]
    lines.append("".join(f"{name:>10}" for name in columns))
    lines.append("".join(f"{_number(result['metrics'][name]):>10}" for name in columns))
    kinds = result["errors"]["all"]
    if None not in kinds.values():
        lines.append(
            "labelled joints of people found: "
            + ", ".join(f"{kind} {share:.1f} %" for kind, share in kinds.items())
        )
    return "\n".join(map(printable, lines))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _check_outputs(model, data, boxes, json_to, results, report) -> None:
    files.check_json_output(json_to)
    if results is not None:
        files.check_writable(results, (".json",))
    if report is not None:
        from flpn_tf.evaluation.report import SUFFIXES

        files.check_writable(report, SUFFIXES)
    outputs = [path for path in (json_to, results, report) if path not in (None, files.STANDARD_OUTPUT)]
    inputs = [data, *((boxes,) if str(boxes) != GROUND_TRUTH else ())]
    for place, output in enumerate(outputs):
        files.check_apart(output, [model, *inputs, *outputs[:place]])
