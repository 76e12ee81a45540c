"""Networks side by side: the lists, their runs, and what is said of them."""

import json
import re

import cv2
import pytest
import tiny_network
import yaml
from helpers import exit_code

from flpn_tf.errors import InputError
from flpn_tf.models.catalogue import CATALOGUE, GIGA
from flpn_tf.training import search, search_command
from flpn_tf.training.config import Config, ModelConfig
from flpn_tf.training.config_file import load_config
from flpn_tf.training.search import SearchList, open_task, train_all
from flpn_tf.training.search_command import LISTS, compared

PAIRS = [(2, 2), (2, 4), (4, 4), (2, 8), (4, 8), (8, 8), (2, 16), (4, 16), (8, 16), (16, 16)]
TRAIN = {
    "model": {"image_size": [64, 64]},
    "schedule": {"epochs": 1, "batch_size": 4, "learning_rate": 0.01, "schedule": "cosine", "seed": 5},
    "validation": {"every": 0},
}
TRAINED = ("--epochs", "1", "--data", "DATA", "--validation", "DATA", "--output", "o")
TWO = {"networks": ["flpn50", "flpn50-nogc"], "seeds": [0, 3], "train": TRAIN}


@pytest.fixture
def chosen(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(TWO))
    return path


@pytest.fixture
def small(monkeypatch, tiny):
    """All networks are the tiny one; returns what was asked for."""
    asked = []

    def build(config, skeleton):
        asked.append(config)
        return tiny_network.build(config, skeleton)

    sizes = {"params": 10**6, "non_trainable": 0, "flops": dict.fromkeys(GIGA, 10**9), "paper": None}
    monkeypatch.setattr(
        search_command, "build_rows", lambda builds: [{"name": name} | sizes for name in builds]
    )
    monkeypatch.setattr(search, "build_model", build)
    return asked


def test_table_7_has_the_ten_pairs_each_both_ways_round():
    ratios = load_config(LISTS / "table7.yaml", kind=SearchList).ratios
    assert len(ratios) == len(set(ratios)) == 16
    assert {ratio[2:] for ratio in ratios} == {(2, 2)}
    assert list(dict.fromkeys(tuple(sorted(ratio[:2])) for ratio in ratios)) == PAIRS
    ways = [ratio[:2] for ratio in ratios]
    assert all(way[::-1] in ways for way in ways)


@pytest.mark.parametrize("path", sorted(LISTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_lists(path):
    chosen = load_config(path, kind=SearchList)
    assert len(chosen.builds()) == len(chosen.networks) + len(chosen.ratios)
    assert path.read_text().startswith("# ")


def test_a_list_that_holds_people_out_is_refused(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump(TWO | {"train": TRAIN | {"validation": {"holdout": 0.1}}}))
    with pytest.raises(InputError, match="list.yaml: train.validation.holdout has no use here"):
        load_config(path, kind=SearchList)


def test_ratios_that_the_catalogue_has_go_by_its_name():
    chosen = SearchList(("flpn50",), ((2, 8, 2, 2), (8, 2, 2, 2), (16, 16, 2, 2)))
    builds = chosen.builds()
    assert list(builds) == ["flpn50", "flpn50-8-2-2-2", "flpn50-16-16-2-2"]
    assert builds["flpn50"] is CATALOGUE["flpn50"]
    assert builds["flpn50-16-16-2-2"].arguments == {"ratios": (16, 16, 2, 2)}
    assert builds["flpn50-16-16-2-2"].printed is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "Received: neither"),
        ({"networks": ("lpn50",)}, "networks must be among flpn50, .*Received: lpn50"),
        ({"networks": ("flpn51",)}, "Received: flpn51"),
        ({"ratios": ((2, 2),)}, r"4 numbers .*Received: \[2, 2\]"),
        ({"ratios": ((2, 2, 2, 0),)}, r"Received: \[2, 2, 2, 0\]"),
        ({"networks": ("flpn50",), "train": Config(ModelConfig(depth=101))}, "train.model must leave"),
        ({"networks": ("flpn50",), "seeds": ()}, r"seeds .*Received: \[\]"),
        ({"networks": ("flpn50",), "seeds": (1, 1)}, r"seeds .*Received: \[1, 1\]"),
    ],
)
def test_bad_lists(arguments, said):
    with pytest.raises(InputError, match=said):
        SearchList(**arguments)


def test_sizes_beside_the_papers(tmp_path, monkeypatch, capsys):
    path = tmp_path / "one.yaml"
    path.write_text("networks: [flpn50-standard]\nratios: [[16, 16, 2, 2]]\n")
    out = tmp_path / "rows.json"
    assert exit_code(monkeypatch, "ratios", "--search", "--list", path, "--json", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r"flpn50-standard +23,546,529 .* 3\.9537 .* 23\.5465 M +3\.9537 G thop", lines[1])
    assert lines[2].startswith("flpn50-16-16-2-2")
    found = json.loads(out.read_text())
    assert (found["list"], found["task"]) == ("one", None)
    standard, pair = found["networks"]
    assert standard["paper"]["reproduced"]
    assert (pair["paper"], pair["trained"]) == (None, None)
    # More of the first two stages' maps are cheap.
    assert pair["flops"]["macs"] < 1.1308e9


@pytest.mark.slow
def test_each_network_is_trained_with_each_seed(chosen, data, tmp_path, small, monkeypatch, capsys):
    output, plot, rows = tmp_path / "runs", tmp_path / "plot.png", tmp_path / "rows.json"
    options = ("--epochs", "2", "--data", data, "--validation", data, "--output", output)
    command = ("ratios", "--search", "--list", chosen, *options, "--json", rows, "--plot", plot)
    assert exit_code(monkeypatch, *command) == 0
    said = capsys.readouterr()
    runs = ["flpn50, seed 0", "flpn50-nogc, seed 0", "flpn50, seed 3", "flpn50-nogc, seed 3"]
    assert [f"{number}/4 {run}" for number, run in enumerate(runs, 1)] == [
        line for line in said.err.splitlines() if re.match(r"\d/4 .* seed", line)
    ]
    configs = {}
    for name in TWO["networks"]:
        for seed in TWO["seeds"]:
            folder = output / name / f"seed_{seed}"
            configs[name, seed] = config = load_config(folder / "config.yaml")
            assert (config.schedule.seed, config.schedule.epochs) == (seed, 2)
            assert (folder / "model.keras").is_file()
    assert [configs[name, 0].model.global_context for name in TWO["networks"]] == [None, False]
    found = json.loads(rows.read_text())
    task = found["task"]
    assert (task["people"], task["dataset"], task["seeds"]) == (8, "coco", [0, 3])
    assert task["train"]["schedule"]["epochs"] == 2
    for row in found["networks"]:
        values = [metrics["AP"] for metrics in row["trained"]["metrics"]]
        assert row["trained"]["mean"] == pytest.approx(sum(values) / 2)
        assert row["trained"]["spread"] == pytest.approx(max(values) - min(values))
        assert row["trained"]["params"] < 20_000 < row["params"]
    assert "Difference: to flpn50." in said.out
    assert min(cv2.imread(str(plot)).shape[:2]) > 100
    # The same command again trains nothing, whatever it takes to say so.
    monkeypatch.setattr(search, "train", None)
    assert exit_code(monkeypatch, *command) == 0
    assert json.loads(rows.read_text()) == found
    capsys.readouterr()
    # Other epochs are another search.
    assert exit_code(monkeypatch, *(3 if part == "2" else part for part in command)) == 2
    assert "flpn50/seed_0: holds a run of another config or data set" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_search_goes_on(data, chosen, tmp_path, small, monkeypatch):
    real, done = search.train, []

    def train(config, *arguments):
        if done == stop_after:
            raise KeyboardInterrupt
        done.append(config.schedule.seed)
        return real(config, *arguments)

    stop_after = [1]
    chosen = load_config(chosen, ("networks=[flpn50]", "seeds=[1, 2]"), SearchList)
    monkeypatch.setattr(search, "train", train)
    with pytest.raises(KeyboardInterrupt):
        train_all(chosen, open_task(data, data), tmp_path / "runs")
    assert done == [1]
    stop_after = None
    found = train_all(chosen, open_task(data, data), tmp_path / "runs")
    assert done == [1, 2]
    assert len(found["flpn50"]["metrics"]) == 2


def test_a_schedule_that_does_not_fit_is_known_before_anything_is_built(data, chosen, tmp_path, small):
    text = chosen.read_text().replace("schedule: cosine", "schedule: cosine\n    warmup_steps: 100")
    chosen.write_text(text)
    with pytest.raises(InputError, match="warmup_steps must be below"):
        train_all(load_config(chosen, kind=SearchList), open_task(data, data), tmp_path)
    assert small == []


@pytest.mark.slow
def test_what_was_measured_is_of_the_model_that_is_there(data, chosen, tmp_path, small, monkeypatch):
    chosen = load_config(chosen, ("networks=[flpn50]", "seeds=[1]"), SearchList)
    task, folder = open_task(data, data), tmp_path / "flpn50" / "seed_1"

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(search, "evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_all(chosen, task, tmp_path)
    assert not (folder / "metrics.json").exists()
    found = train_all(chosen, task, tmp_path)
    metrics = json.loads((folder / "metrics.json").read_text())
    # Another model in its place is measured, a missing one trained again.
    (folder / "metrics.json").write_text(json.dumps(metrics | {"model_sha256": "", "metrics": {"AP": 77}}))
    assert train_all(chosen, task, tmp_path) == found
    (folder / "model.keras").unlink()
    train_all(chosen, task, tmp_path)
    assert (folder / "model.keras").is_file()
    for spoilt in ("[]", "{", "{}"):
        (folder / "metrics.json").write_text(spoilt)
        with pytest.raises(InputError, match=r"metrics.json: cannot be read; remove it"):
            train_all(chosen, task, tmp_path)


def row(name, *values):
    return {"name": name, "trained": {"metrics": [{"Mean": value, "AP": 0.0} for value in values]}}


def test_differences_beside_the_spread():
    rows = [row("a", 50, 52), row("b", 55, 53), row("c", 48, 49), row("d", 60, 40)]
    found = [entry["trained"] for entry in compared(rows, "Mean")]
    assert [entry["mean"] for entry in found] == [51, 54, 48.5, 50]
    assert [entry["spread"] for entry in found] == [2, 2, 1, 20]
    assert [entry["difference"] for entry in found] == [0, 3, -2.5, -1]
    assert [entry["beyond_spread"] for entry in found] == [False, True, True, False]
    assert {entry["metric"] for entry in found} == {"Mean"}


def test_one_seed_has_no_spread():
    found = [entry["trained"] for entry in compared([row("a", 50), row("b", 55)], "Mean")]
    assert [entry["beyond_spread"] for entry in found] == [None, None]


def test_a_metric_that_is_missing():
    with pytest.raises(InputError, match="b: has no Mean"):
        compared([row("a", 1, 2), row("b", 1, None)], "Mean")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--list", "table8"), "table8: there is no such list; .* small, table7"),
        (("--data", "d"), "--data: only with --epochs"),
        (("--epochs", "1", "--data", "d"), "needs --validation, --output"),
        (("--epochs", "0", "--data", "d", "--validation", "v", "--output", "o"), "epochs must be above 0"),
        (("--epochs", "1", "--data", "d", "--validation", "v", "--output", "o"), "d: a data set is a folder"),
        (("--epochs", "1", "--data", "DATA", "--validation", "v", "--output", "o"), "v: a data set is"),
        ((*TRAINED, "--dataset", "x"), "dataset must be one of coco, mpii, lsp. Received: 'x'"),
        ((*TRAINED, "--dataset", "coco", "--json", "DATA/annotations.json"), "would overwrite"),
        ((*TRAINED, "--list", "LIST", "--json", "LIST"), "would overwrite"),
        ((*TRAINED, "--json", "a.png", "--plot", "a.png"), "would overwrite"),
        ((*TRAINED, "--plot", "a.pdf"), "must end in .png"),
        (("--json", "a/b.json"), "folder does not exist"),
    ],
)
def test_refusals(arguments, said, data, chosen, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search_command, "build_rows", None)
    before = chosen.read_bytes(), (data / "annotations.json").read_bytes()
    arguments = [part.replace("DATA", str(data)).replace("LIST", str(chosen)) for part in arguments]
    assert exit_code(monkeypatch, "ratios", "--search", *arguments) == 2
    assert re.search(said, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == [chosen]
    assert (chosen.read_bytes(), (data / "annotations.json").read_bytes()) == before
