"""What `flpn evaluate` does."""

import json
from pathlib import Path

from flpn_tf.data.sources import locate
from flpn_tf.evaluation.evaluate import GROUND_TRUTH, WEIGHTS, evaluate
from flpn_tf.evaluation.partial import SUFFIX
from flpn_tf.evaluation.summary import about, errors, table
from flpn_tf.presets import resolve_model
from flpn_tf.runtime import files


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
    if not str(model).endswith((WEIGHTS, ".json")):
        model = resolve_model(model)
    annotations, photos = locate(data, images, options.get("split"))
    given = [model, data, annotations]
    others = options.get("boxes"), options.get("config")
    given += [path for path in others if path not in (None, GROUND_TRUTH)]
    if report is not None and Path(photos, Path(report).name).exists():
        files.check_apart(report, [Path(photos, Path(report).name)])
    _check_outputs(given, json_to, results, report)
    found = evaluate(model, data, images, results=results, **options)
    if results is not None:
        files.write_atomically(results, found.poses_json().encode())
        Path(f"{results}{SUFFIX}").unlink(missing_ok=True)
    if report is not None:
        from flpn_tf.evaluation.report import write_report

        write_report(report, found)
    text = json.dumps(found.result, indent=1) + "\n"
    if json_to is not None:
        files.write_json(json_to, text)
    if json_to != files.STANDARD_OUTPUT:
        lines = about(found.result)
        if found.people is not None:
            lines += [*table(found.result), errors(found.result)]
        print("\n".join(lines))


def _check_outputs(given: list, json_to, results, report) -> None:
    files.check_json_output(json_to)
    if results is not None:
        files.check_writable(results, (".json",))
    if report is not None:
        from flpn_tf.evaluation.report import SUFFIXES

        files.check_writable(report, SUFFIXES)
    outputs = [path for path in (json_to, results, report) if path not in (None, files.STANDARD_OUTPUT)]
    for place, output in enumerate(outputs):
        files.check_apart(output, [*given, *outputs[:place]])
