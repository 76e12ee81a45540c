"""Sizes of all named networks beside the papers', and what `flpn models` prints."""

import json
import re

import pytest

from flpn_tf.errors import InputError
from flpn_tf.models import catalogue, models_command
from flpn_tf.models.catalogue import CATALOGUE, GIGA, build_rows, render

# Trainable parameters; macs and thop in 1e9, hrnet in 1024³, to four decimals.
OURS = {
    "flpn50": (10_040_865, 1.1308, 1.1704, 1.0685),
    "flpn101": (16_952_946, 2.0183, 2.0680, 1.8951),
    "flpn152": (22_470_659, 2.7681, 2.8302, 2.5933),
    "flpn50-standard": (23_546_529, 3.9141, 3.9537, 3.6606),
    "flpn50-ghost": (7_668_545, 1.2851, 1.3247, 1.2122),
    "flpn50-mobilenetv3": (12_896_721, 2.1149, 2.1546, 1.9851),
    "flpn50-lpn": (2_762_293, 0.4977, 0.5231, 0.4756),
    "flpn50-nogc": (7_492_865, 1.1229, 1.1625, 1.0611),
    "flpn50-maxpool": (10_049_233, 1.2393, 1.2798, 1.1696),
    "flpn50-8-2-2-2": (10_187_529, 1.2039, 1.2435, 1.1366),
    "flpn50-t2": (10_216_545, 1.2930, 1.3327, 1.2196),
    "flpn50-densedeconv": (20_485_665, 2.5346, 6.7856, 6.2980),
    "simplebaseline50": (33_999_697, 5.4264, 9.6781, 8.9912),
    "simplebaseline101": (52_991_825, 9.0628, 13.3246, 12.3779),
    "simplebaseline152": (68_635_473, 12.6993, 16.9735, 15.7646),
    "simplebaseline50-ghost": (18_121_713, 2.7974, 7.0492, 6.5428),
    "simplebaseline50-mobilenetv3": (23_349_889, 3.6272, 7.8790, 7.3156),
    "lpn50": (2_898_149, 1.0681, 1.0987, 1.0080),
    "lpn101": (5_340_454, 1.5044, 1.5400, 1.4143),
    "lpn152": (7_356_167, 1.9427, 1.9845, 1.8225),
}
NOT_REPRODUCED = {"flpn50-nogc", "flpn50-maxpool", "flpn50-8-2-2-2", "flpn50-t2", "flpn50-densedeconv"}


@pytest.fixture(scope="module")
def rows():
    return {row["name"]: row for row in build_rows()}


def test_all_networks_are_pinned():
    assert set(OURS) == set(CATALOGUE)


@pytest.mark.parametrize("name", OURS)
def test_parameters_and_flops(rows, name):
    row = rows[name]
    flops = [round(row["flops"][convention] / unit, 4) for convention, unit in GIGA.items()]
    assert (row["params"], *flops) == OURS[name]


def test_the_standard_network_is_the_papers_to_every_printed_digit(rows):
    row = rows["flpn50-standard"]
    assert f"{row['params'] / 1e6:.4f}" == "23.5465"
    assert f"{row['flops']['thop'] / 1e9:.4f}" == "3.9537"


def test_what_reproduces(rows):
    papers = {name: row["paper"] for name, row in rows.items() if row["paper"] is not None}
    assert {name for name, paper in papers.items() if not paper["reproduced"]} == NOT_REPRODUCED
    assert papers["flpn50"] == {
        "printed": ["10.04", "1.1"],
        "params": 10_040_000,
        "flops": 1_100_000_000,
        "convention": "thop",
        "source": "FLPN paper",
        "reproduced": True,
    }
    assert papers["lpn50"]["params"] is None
    assert papers["lpn50"]["flops"] == round(1.008 * 1024**3)


def test_table(rows):
    header, *body = render(rows.values()).split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in body] == list(CATALOGUE)
    assert re.split("  +", body[0]) == [
        *("flpn50", "10,040,865", "54,688", "1.1308", "1.1704", "1.0685"),
        *("10.04 M", "1.1 G thop", "FLPN paper"),
    ]
    columns = header.index("thop G") + len("thop G")
    assert all(re.search(r"\d\.\d{4}$", line[:columns]) for line in body)
    assert {line.split()[0] for line in body if "does not reproduce" in line} == NOT_REPRODUCED


@pytest.mark.parametrize(
    "value,printed,agrees",
    [(1.1704, "1.1", True), (2.768, "2.8", True), (10.0409, "10.04", True), (10.1875, "10.1922", False)],
)
def test_agreement_is_to_the_last_digit_rounded_or_cut(value, printed, agrees):
    assert catalogue._agrees(value, printed) == agrees


@pytest.fixture
def one_network(monkeypatch):
    small = catalogue.Build(arguments={"width": 0.25, "image_size": (64, 64)})
    monkeypatch.setattr(catalogue, "CATALOGUE", {"tiny": small})


def test_json_on_standard_output(one_network, capsys):
    models_command.run_models("-")
    printed = capsys.readouterr()
    (row,) = json.loads(printed.out)
    assert set(row) == {"name", "params", "non_trainable", "flops", "paper"}
    assert set(row["flops"]) == {"macs", "thop", "hrnet"}
    assert all(type(count) is int for count in [row["params"], *row["flops"].values()])
    assert (row["name"], row["paper"]) == ("tiny", None)
    assert "1/1 building tiny" in printed.err


def test_json_to_a_file(one_network, tmp_path, capsys):
    models_command.run_models(str(tmp_path / "rows.json"))
    assert json.loads((tmp_path / "rows.json").read_text())[0]["name"] == "tiny"
    assert capsys.readouterr().out == ""


def test_table_on_standard_output(one_network, capsys):
    models_command.run_models()
    out = capsys.readouterr().out
    assert out.startswith("name ")
    assert "\ntiny " in out


def test_an_impossible_file_is_refused_before_anything_is_built(tmp_path, capsys):
    with pytest.raises(InputError, match="Received: "):
        models_command.run_models(str(tmp_path / "missing" / "rows.json"))
    assert capsys.readouterr().err == ""
