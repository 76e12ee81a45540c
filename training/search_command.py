"""What `flpn ratios --search` does."""

import dataclasses
import json
import statistics
from pathlib import Path

from flpn_tf.charts import needs_matplotlib, new_figure, png
from flpn_tf.data.sources import locate
from flpn_tf.errors import InputError, printable
from flpn_tf.evaluation.evaluate import MEASURES
from flpn_tf.models.catalogue import build_rows, render
from flpn_tf.plain_table import columns
from flpn_tf.runtime import files
from flpn_tf.training.config_file import load_config
from flpn_tf.training.search import SearchList, Task, open_task, train_all

LISTS = Path(__file__).parent / "searches"


def run(
    list_name: str,
    epochs: int | None = None,
    data: Path | None = None,
    validation: Path | None = None,
    dataset: str | None = None,
    output: Path | None = None,
    json_to: str | None = None,
    plot: Path | None = None,
) -> None:
    """Prints the sizes of a list's networks beside the paper's and, where epochs are given, trains them.

    Args:
        list_name: a file that `SearchList` describes, or the name of one of `LISTS`.
        epochs: of each run; None trains nothing.
        data, validation, dataset: of `open_task`, needed to train.
        output: folder of the runs.
        json_to: file for {"list", "task", "networks"}, or `files.STANDARD_OUTPUT`: no tables then.
            "task" is None or {"people", "data", "validation_sha256", "dataset", "measure", "seeds", "train"
            (the config)}. Each network is a `build_row` with "trained": None or {"params", "macs", "metrics"
            (of each seed), "metric", "mean", "spread", "difference" (to the first network), "beyond_spread"}.
        plot: picture of metric against multiply-adds.

    Raises:
        InputError: a bad list, as `train_all`, a missing option, or an output that cannot be written.
    """
    path = _path(list_name)
    chosen = load_config(path, kind=SearchList)
    given = {"--data": data, "--validation": validation, "--output": output}
    if epochs is None:
        given |= {"--dataset": dataset, "--plot": plot}
        if unused := [name for name, value in given.items() if value is not None]:
            raise InputError(f"{', '.join(unused)}: only with --epochs, which trains the networks")
        task = None
    else:
        if missing := [name for name, value in given.items() if value is None]:
            raise InputError(f"--epochs trains the networks and needs {', '.join(missing)}")
        schedule = dataclasses.replace(chosen.train.schedule, epochs=epochs)
        chosen = dataclasses.replace(chosen, train=dataclasses.replace(chosen.train, schedule=schedule))
        task = open_task(data, validation, dataset)
    _check_outputs([path] if task is None else [path, data, locate(validation)[0]], json_to, plot)
    rows = [row | {"trained": None} for row in build_rows(chosen.builds())]
    if json_to != files.STANDARD_OUTPUT:
        print(render(rows), flush=True)
    if task is not None:
        found = train_all(chosen, task, output)
        rows = compared([row | {"trained": found[row["name"]]} for row in rows], task.metric)
        if json_to != files.STANDARD_OUTPUT:
            print("", *table(rows, chosen), f"{task.metric}: {MEASURES[task.dataset]}.", sep="\n")
    if json_to is not None:
        result = {"list": path.stem, "task": None if task is None else _facts(task, chosen), "networks": rows}
        files.write_json(json_to, json.dumps(result, indent=1) + "\n")
    if plot is not None:
        files.write_atomically(plot, _pareto(rows, MEASURES[task.dataset]))


def _path(list_name: str) -> Path:
    shipped = {path.stem: path for path in sorted(LISTS.glob("*.yaml"))}
    path = shipped.get(list_name, Path(list_name))
    if not path.is_file():
        raise InputError(f"{list_name}: there is no such list; give a .yaml, or one of {', '.join(shipped)}")
    return path


def _facts(task: Task, chosen: SearchList) -> dict:
    facts = {"people": task.people, "data": task.identity, "validation_sha256": task.validation_sha256}
    facts |= {"dataset": task.dataset, "measure": MEASURES[task.dataset], "seeds": chosen.seeds}
    return facts | {"train": dataclasses.asdict(chosen.train)}


def _check_outputs(given: list[Path], json_to: str | None, plot: Path | None) -> None:
    files.check_json_output(json_to)
    if plot is not None:
        needs_matplotlib()
        files.check_writable(plot, (".png",))
    outputs = [path for path in (json_to, plot) if path not in (None, files.STANDARD_OUTPUT)]
    for place, output in enumerate(outputs):
        files.check_apart(output, [*given, *outputs[:place]])


def compared(rows: list[dict], metric: str) -> list[dict]:
    """The rows of trained networks with what their runs say together, and beside the first row's.

    A difference is beyond the spread where it is larger than the distance between the best and the worst
    seed of either network; None where there is one seed, which has no spread.
    """
    done = []
    for row in rows:
        values = [metrics[metric] for metrics in row["trained"]["metrics"]]
        if None in values:
            raise InputError(f"{row['name']}: has no {metric} on this data set, so it cannot be compared")
        trained = {"metric": metric, "mean": statistics.mean(values), "spread": max(values) - min(values)}
        first = done[0]["trained"] if done else trained
        trained["difference"] = trained["mean"] - first["mean"]
        beyond = abs(trained["difference"]) > max(trained["spread"], first["spread"])
        trained["beyond_spread"] = beyond if len(values) > 1 else None
        done.append(row | {"trained": row["trained"] | trained})
    return done


def table(rows: list[dict], chosen: SearchList) -> list[str]:
    """Lines to read."""
    metric = rows[0]["trained"]["metric"]
    seeds = [f"seed {seed}" for seed in chosen.seeds]
    lines = [("trained", "params", "macs M", *seeds, metric, "difference", "")]
    told = {True: "beyond the spread", False: "within the spread", None: "one seed has no spread"}
    for row in rows:
        trained = row["trained"]
        values = [f"{metrics[metric]:.2f}" for metrics in trained["metrics"]]
        size = f"{trained['params']:,}", f"{trained['macs'] / 1e6:.1f}"
        difference = ("", "")
        if row is not rows[0]:
            difference = f"{trained['difference']:+.2f}", told[trained["beyond_spread"]]
        lines.append((row["name"], *size, *values, f"{trained['mean']:.2f}", *difference))
    model, schedule = chosen.train.model, chosen.train.schedule
    size = "x".join(map(str, model.image_size))
    about = f"Width {model.width}, {size}, epochs: {schedule.epochs}. {metric}: mean of the seeds."
    return [*columns(lines, left=(0, -1)), "", f"{about} Difference: to {printable(rows[0]['name'])}."]


def _pareto(rows: list[dict], measure: str) -> bytes:
    from matplotlib import colormaps

    figure = new_figure(9, 5)
    panel = figure.subplots()
    front, best = [], float("-inf")
    colours = colormaps["tab10" if len(rows) <= 10 else "turbo"].resampled(max(len(rows), 10))
    for place, row in enumerate(rows):
        trained, colour = row["trained"], colours(place)
        macs, values = trained["macs"] / 1e6, [metrics[trained["metric"]] for metrics in trained["metrics"]]
        panel.plot([macs] * len(values), values, "_-", color=colour, linewidth=1.2)
        panel.plot(macs, trained["mean"], "o", color=colour, label=row["name"])
    for trained in sorted(
        (row["trained"] for row in rows), key=lambda found: (found["macs"], -found["mean"])
    ):
        if trained["mean"] > best:
            best = trained["mean"]
            front.append((trained["macs"] / 1e6, best))
    if len(front) > 1:
        options = {"drawstyle": "steps-post", "color": "black", "linestyle": ":", "linewidth": 1}
        panel.plot(*zip(*front, strict=True), **options, label="Pareto front of the means")
    figure.legend(frameon=False, loc="outside right upper", fontsize=8)
    panel.set_title(measure, fontsize=9)
    panel.set_xlabel("multiply-adds of the trained network, M (macs)")
    panel.set_ylabel(f"{rows[0]['trained']['metric']}: seeds (lines) and their mean (dots)")
    panel.grid(which="both", color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    return png(figure)
