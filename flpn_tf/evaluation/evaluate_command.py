"""What `flpn evaluate` does."""

import json
from pathlib import Path

from flpn_tf.charts import needs_matplotlib
from flpn_tf.data.sources import has_annotations, locate
from flpn_tf.errors import InputError, printable
from flpn_tf.evaluation.compare import compare, drop_in_words
from flpn_tf.evaluation.evaluate import Evaluation, evaluate
from flpn_tf.evaluation.found import holds_poses, model_path
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
    against=None,
    **options,
) -> None:
    """Evaluates, prints a table and writes what is asked for.

    Args:
        model, data, images, options: of `evaluate`.
        json_to: file for the metrics, or `files.STANDARD_OUTPUT`, which leaves out the table.
        results: file for the poses as COCO's evaluation server takes them.
        report: `.html` or `.png` that shows where the model fails.
        against: a model, or where `model` holds poses, poses; it is evaluated too, and how much lower
            `model` is comes under the table, and in the json as "against": {"model", "model_sha256",
            "metrics", "drop": {metric: {"value", "low", "high"}}}, see `compare`. A config is of `model`
            alone.

    Raises:
        InputError: as `evaluate` or `compare`, or an output that cannot be written or would overwrite another
            or an input.
    """
    annotations, photos = locate(data, images, options.get("split"))
    others = [path for path in (options.get("boxes"), options.get("config")) if path is not None]
    others += [] if against is None else [model_path(against)]
    _check_outputs([model_path(model), annotations, *others], photos, json_to, results, report)
    if against is not None and holds_poses(against) != holds_poses(model):
        raise InputError(
            "--against compares two models, or poses with poses, which may be in other boxes than a model's. "
            f"Received: {model} and {against}"
        )
    if not (report is against is None) and not has_annotations(annotations, photos):
        what = "report" if against is None else "compare"
        raise InputError(f"{annotations}: has no annotations, so there is nothing to {what}")
    found = evaluate(model, data, images, results=results, **options)
    if results is not None:
        files.write_atomically(results, found.poses_json().encode())
        Path(f"{results}{SUFFIX}").unlink(missing_ok=True)
    if against is not None:
        other = evaluate(against, data, images, **options | {"config": None})
        found.result["against"] = _against(found, other)
    if json_to is not None:
        files.write_json(json_to, json.dumps(found.result, indent=1) + "\n")
    if json_to != files.STANDARD_OUTPUT:
        lines = about(found.result)
        if found.people is not None:
            lines += [*table(found.result), errors(found.result, len(found.analysis.people))]
        if against is not None:
            other = found.result["against"]
            drops = [f"{name} {drop_in_words(drop)}" for name, drop in other["drop"].items()]
            lines.append(printable(f"drop against {other['model']}: {', '.join(drops) or 'not measurable'}"))
        print("\n".join(lines))
    if report is not None:
        from flpn_tf.evaluation.report import write_report

        write_report(report, found)


def _against(found: Evaluation, other: Evaluation) -> dict:
    facts = {key: other.result[key] for key in ("model", "model_sha256", "metrics")}
    return facts | {"drop": {name: drop.to_dict() for name, drop in compare(found, other).items()}}


def _check_outputs(given: list, photos, json_to, results, report) -> None:
    files.check_json_output(json_to)
    for output in (json_to, results):
        if output not in (None, files.STANDARD_OUTPUT):
            files.check_writable(output, (".json",))
    if report is not None:
        from flpn_tf.evaluation.report import SUFFIXES

        files.check_writable(report, SUFFIXES)
        files.check_no_photo(report, photos)
        needs_matplotlib()
    outputs = [path for path in (json_to, results, report) if path not in (None, files.STANDARD_OUTPUT)]
    for place, output in enumerate(outputs):
        files.check_apart(output, [*given, *outputs[:place]])
