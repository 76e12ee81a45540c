"""The tables of README and model card: made from docs/metrics.json, which is of the files that ship."""

import json
import sys
from types import SimpleNamespace

import pytest
from helpers import REPOSITORY

from flpn_tf import presets
from flpn_tf.runtime.files import sha256_of

sys.path.append(str(REPOSITORY / "benchmarks"))
import model_table_text as text  # noqa: E402

FOUND = json.loads(text.METRICS.read_text())


def test_the_metrics_are_of_the_files_that_ship():
    files = [presets.assets_folder() / f"{stem}.tflite" for stem in presets.shipped_models()]
    files += [presets.weights_path(preset) for preset in presets.shipped_weights()]
    assert {path.name for path in files} == set(FOUND["models"])
    for path in files:
        assert sha256_of(path) == FOUND["models"][path.name]["sha256"], f"{path.name}: run make table"


@pytest.mark.parametrize("name", text.tables(FOUND))
def test_the_tables_are_those_of_the_metrics(name):
    path, content = text.tables(FOUND)[name]
    assert text.rewritten(path.read_text(), name, content) == path.read_text()
    assert content.count("\n") > 1


def test_no_format_loses_more_than_a_point():
    """What ships; the gate of `flpn convert` is tested in tests/convert."""
    artefacts = [model["data"] for model in FOUND["models"].values() if model["format"] != "keras"]
    assert len(artefacts) == len(presets.shipped_models())
    for data in artefacts:
        assert data["coco"]["drop"]["AP"]["value"] <= 1
        assert data["lsp"]["drop"]["Mean"]["value"] <= 1


def test_what_a_phone_gets_is_as_good_and_as_fast_as_was_aimed_at():
    """25 AP without a GPU to train on, three times as fast as FLPN-50 in int8; of the best file of each."""
    shipped = [f"{stem}.tflite" for stem in presets.shipped_models()]
    assert max(FOUND["models"][name]["data"]["coco"]["metrics"]["AP"] for name in shipped) >= 25
    assert max(FOUND["latency"]["models"][name]["faster"] for name in shipped) >= 3


def test_flip_and_decoders_are_measured_once_each(monkeypatch):
    import model_table

    asked = []

    def evaluation(flip_test, decode):
        asked.append((flip_test, decode))
        metrics = dict.fromkeys(text.DECODERS["coco"], len(asked))
        return SimpleNamespace(result={"flip": flip_test, "decode": decode, "metrics": metrics})

    monkeypatch.setattr(model_table, "evaluate", lambda *_, dataset, **how: evaluation(**how))
    rows = model_table.decoders("model", "folder", "coco", evaluation(False, "dark"))
    assert sorted(asked) == sorted({(row["flip"], row["decode"]) for row in rows})
    assert len(rows) == 6
    assert [row["AP"] for row in rows if (row["flip"], row["decode"]) == (False, "dark")] == [1]


def test_a_row_says_what_was_measured():
    content = text.models(FOUND)
    for name, model in FOUND["models"].items():
        named = [line for line in content.splitlines() if f"| `{model['preset']}`" in line]
        [row] = [line for line in named if f"| {model['format']} |" in line]
        ap, pck = model["data"]["coco"]["metrics"]["AP"], model["data"]["lsp"]["metrics"]["Mean"]
        assert f"| {ap:.1f} |" in row
        assert f"| {pck:.1f} |" in row
        if name in FOUND["latency"]["models"]:
            assert row.endswith(f"| {FOUND['latency']['models'][name]['median_ms']:.1f} |")
    assert "AP: `coco_val/annotations.json`, 359 people in 108 photos, boxes: `gt`, flip off" in content


def test_rewriting_leaves_all_else():
    before = "a\n<!-- models: written by make table -->\nold\n<!-- end of models -->\nb\n"
    after = text.rewritten(before, "models", "| new |")
    assert after == before.replace("old", "| new |")
    assert text.rewritten(after, "models", "| new |") == after
    with pytest.raises(ValueError, match="Received: name='other'"):
        text.rewritten(before, "other", "")
