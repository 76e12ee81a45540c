"""What `flpn evaluate` does."""

import json
from pathlib import Path

from flpn_tf.data.sources import has_annotations, locate
from flpn_tf.errors import InputError
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.evaluation.found import model_path
from flpn_tf.evaluation.partial import SUFFIX
from flpn_tf.evaluation.summary import about, errors, table
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
    annotations, photos = locate(data, images, options.get("split"))
    others = [path for path in (options.get("boxes"), options.get("config")) if path is not None]
    _check_outputs([model_path(model), annotations, *others], photos, json_to, results, report)
    if report is not None and not has_annotations(annotations, photos):
        raise InputError(f"{annotations}: has no annotations, so there is nothing to report")
    found = evaluate(model, data, images, results=results, **options)
    if results is not None:
        files.write_atomically(results, found.poses_json().encode())
        Path(f"{results}{SUFFIX}").unlink(missing_ok=True)
    if json_to is not None:
        files.write_json(json_to, json.dumps(found.result, indent=1) + "\n")
    if json_to != files.STANDARD_OUTPUT:
        lines = about(found.result)
        if found.people is not None:
            lines += [*table(found.result), errors(found.result, len(found.analysis.people))]
        print("\n".join(lines))
    if report is not None:
        from flpn_tf.evaluation.report import write_report

        write_report(report, found)


def _check_outputs(given: list, photos, json_to, results, report) -> None:
    files.check_json_output(json_to)
    for output in (json_to, results):
        if output not in (None, files.STANDARD_OUTPUT):
            files.check_writable(output, (".json",))
    if report is not None:
        from flpn_tf.evaluation.report import SUFFIXES, needs_matplotlib

        files.check_writable(report, SUFFIXES)
        needs_matplotlib()
        path = Path(report).resolve()
        if path.exists() and path.is_relative_to(Path(photos).resolve()):
            raise InputError(f"The output would overwrite a file among the photos. Received: {report}")
    outputs = [path for path in (json_to, results, report) if path not in (None, files.STANDARD_OUTPUT)]
    for place, output in enumerate(outputs):
        files.check_apart(output, [*given, *outputs[:place]])
