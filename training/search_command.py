"""What `flpn ratios --search` does."""

import dataclasses
import io
import json
import statistics
from pathlib import Path

from flpn_tf.data.sources import locate
from flpn_tf.errors import InputError
from flpn_tf.models.catalogue import build_rows, render
from flpn_tf.runtime import files
from flpn_tf.training.config_file import load_config
from flpn_tf.training.search import SearchList, train_all

LISTS = Path(__file__).parent / "searches"
_METRICS = ("Mean", "AP")  # the first that the protocol has decides


def run(
    list_name: str,
    epochs: int | None = None,
    data=None,
    validation=None,
    output: Path | None = None,
    dataset: str | None = None,
    json_to: str | None = None,
    plot: Path | None = None,
) -> None:
    """Prints the sizes of a list's networks beside the paper's and, where epochs are given, trains them.

    Args:
        list_name: a file that `SearchList` describes, or the name of one of `LISTS`.
        epochs: of each run; None trains nothing.
        data, validation, output, dataset: of `train_all`, needed to train.
        json_to: file for the rows, or `files.STANDARD_OUTPUT`, which leaves out the tables: those of
            `build_row`, and "trained": None or {"params", "macs", "metrics" (of each seed), "metric", "mean",
            "spread", "difference" (to the first network), "beyond_spread"}.
        plot: picture of metric against multiply-adds.

    Raises:
        InputError: a bad list, as `train_all`, a missing option, or an output that cannot be written.
    """
    chosen = load_config(_path(list_name), kind=SearchList)
    given = {"--data": data, "--validation": validation, "--output": output}
    if epochs is None:
        if unused := [name for name, value in (given | {"--plot": plot}).items() if value is not None]:
            raise InputError(f"{', '.join(unused)}: only with --epochs, which trains the networks")
    else:
        if missing := [name for name, value in given.items() if value is None]:
            raise InputError(f"--epochs trains the networks and needs {', '.join(missing)}")
        schedule = dataclasses.replace(chosen.train.schedule, epochs=epochs)
        chosen = dataclasses.replace(chosen, train=dataclasses.replace(chosen.train, schedule=schedule))
        locate(validation)
    files.check_json_output(json_to)
    if plot is not None:
        from flpn_tf.evaluation.report import needs_matplotlib

        needs_matplotlib()
        files.check_writable(plot, (".png",))
        if json_to not in (None, files.STANDARD_OUTPUT):
            files.check_apart(plot, [json_to])
    rows = [row | {"trained": None} for row in build_rows(chosen.builds())]
    if json_to != files.STANDARD_OUTPUT:
        print(render(rows), flush=True)
    if epochs is not None:
        found = train_all(chosen, data, validation, output, dataset)
        rows = compared([row | {"trained": found[row["name"]]} for row in rows])
        if json_to != files.STANDARD_OUTPUT:
            print(f"\n{table(rows, chosen)}")
    if json_to is not None:
        files.write_json(json_to, json.dumps(rows, indent=1) + "\n")
    if plot is not None:
        files.write_atomically(plot, _pareto(rows))


def _path(list_name: str) -> Path:
    shipped = {path.stem: path for path in sorted(LISTS.glob("*.yaml"))}
    path = shipped.get(list_name, Path(list_name))
    if not path.is_file():
        raise InputError(f"{list_name}: there is no such list; give a .yaml, or one of {', '.join(shipped)}")
    return path


def compared(rows: list[dict]) -> list[dict]:
    """The rows of trained networks with what their runs say together, and beside the first row's.

    A difference is beyond the spread where it is larger than the distance between the best and the worst
    seed of either network.
    """
    name = next((name for name in _METRICS if name in rows[0]["trained"]["metrics"][0]), None)
    if name is None:
        raise InputError(f"the protocol must give {' or '.join(_METRICS)} to compare networks by")
    done = []
    for row in rows:
        values = [metrics[name] for metrics in row["trained"]["metrics"]]
        if None in values:
            raise InputError(f"{row['name']}: has no {name} on this data set, so it cannot be compared")
        trained = {"metric": name, "mean": statistics.mean(values), "spread": max(values) - min(values)}
        first = done[0]["trained"] if done else trained
        trained["difference"] = trained["mean"] - first["mean"]
        trained["beyond_spread"] = abs(trained["difference"]) > max(trained["spread"], first["spread"])
        done.append(row | {"trained": row["trained"] | trained})
    return done


def table(rows: list[dict], chosen: SearchList) -> str:
    """Text to read."""
    metric = rows[0]["trained"]["metric"]
    lines = [("trained", "params", "macs M", *(f"seed {seed}" for seed in chosen.seeds), metric, "", "")]
    for row in rows:
        trained = row["trained"]
        values = [f"{metrics[metric]:.2f}" for metrics in trained["metrics"]]
        told = "beyond the spread" if trained["beyond_spread"] else "within the spread"
        difference = ("", "") if row is rows[0] else (f"{trained['difference']:+.2f}", told)
        size = f"{trained['params']:,}", f"{trained['macs'] / 1e6:.1f}"
        lines.append((row["name"], *size, *values, f"{trained['mean']:.2f}", *difference))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:-1], widths[1:-1]), line[-1]]).rstrip()
        for line in lines
    ]
    model, schedule = chosen.train.model, chosen.train.schedule
    size = "x".join(map(str, model.image_size))
    about = f"Width {model.width}, {size}, {schedule.epochs} epochs. {metric}: mean of the seeds; then the"
    return "\n".join([*text, "", f"{about} difference to {rows[0]['name']}."])


def _pareto(rows: list[dict]) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"backend": "Agg", "text.parse_math": False}):
        figure = Figure(figsize=(7.5, 5), dpi=110, layout="constrained")
        panel = figure.subplots()
        front, best = [], float("-inf")
        for row in sorted(rows, key=lambda row: (row["trained"]["macs"], -row["trained"]["mean"])):
            macs, mean = row["trained"]["macs"] / 1e6, row["trained"]["mean"]
            values = [metrics[row["trained"]["metric"]] for metrics in row["trained"]["metrics"]]
            panel.plot([macs, macs], [min(values), max(values)], color="#9a9a9a", linewidth=1.2)
            panel.plot([macs] * len(values), values, "_", color="#9a9a9a")
            panel.plot(macs, mean, "o", color="#4c78a8")
            panel.annotate(row["name"], (macs, mean), (6, 4), textcoords="offset points", fontsize=8)
            if mean > best:
                best = mean
                front.append((macs, mean))
        panel.plot(*zip(*front, strict=True), drawstyle="steps-post", color="#e45756", label="Pareto front")
        panel.set(xscale="log", xlabel="multiply-adds of the trained network, M (macs)")
        panel.set_ylabel(f"{rows[0]['trained']['metric']}, mean and range of the seeds")
        panel.grid(which="both", color="#e6e6e6", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.legend(frameon=False)
        content = io.BytesIO()
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
