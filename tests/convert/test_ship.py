"""`python -m flpn_tf.convert.ship` into folders in place of the package's."""

import hashlib
import json

import pytest
import synthetic_people
from dot_network import DotNetwork

from flpn_tf import presets
from flpn_tf.convert import shipped_files
from flpn_tf.convert.ship import main
from flpn_tf.convert.shipped_files import SHIPPED_FORMATS, ship
from flpn_tf.errors import GateError, InputError
from flpn_tf.evaluation.compare import Drop
from flpn_tf.models.load import load_network
from flpn_tf.spec import PoseSpec


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Just enough to calibrate with."""
    folder = tmp_path_factory.mktemp("calibration") / "people"
    return synthetic_people.write(folder, synthetic_people.document(people=200))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Empty but for another preset's entry."""
    folders = {"weights_folder": tmp_path / "weights", "assets_folder": tmp_path / "assets"}
    for name, folder in folders.items():
        folder.mkdir()
        for place in (presets, shipped_files):
            monkeypatch.setattr(place, name, lambda folder=folder: folder)
    (folders["weights_folder"] / presets.PRESETS_FILE).write_text(
        '{"other": {"sha256": "", "parameters": 1}}'
    )
    return tmp_path


@pytest.fixture
def trained(package):
    path = package / "trained.keras"
    DotNetwork().save(path)
    return path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_files_hold_the_same_weights(trained, people, package, monkeypatch, capsys):
    height, width = DotNetwork().image_size
    preset = f"dots_people_{height}x{width}"
    monkeypatch.setattr("sys.argv", ["ship", str(trained), preset, "--calibrate", str(people)])
    main()
    printed = capsys.readouterr().out.split()
    listed = presets.shipped_weights()
    path = presets.weights_path(preset)
    network = load_network(path)
    assert set(listed) == {"other", preset}
    assert listed[preset]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert listed[preset]["parameters"] == network.count_params()  # it has no others
    artefacts = [package / "assets" / f"{preset}_{to}.tflite" for to in SHIPPED_FORMATS]
    assert printed == [str(path), str(package / "weights" / presets.PRESETS_FILE), *map(str, artefacts)]
    for artefact in artefacts:
        spec = PoseSpec.read_from_tflite(artefact)
        assert (spec.name, spec.weights_sha256) == (artefact.stem, network.weights_sha256())
        assert json.loads(artefact.with_name(f"{spec.name}_pose_spec.json").read_text()) == spec.to_dict()


@pytest.mark.parametrize("preset", ["dots_people", "dots_people_8x8", "Dots_8x8", "flpn-mobile", "../a_8x8"])
def test_names_that_do_not_fit_write_nothing(trained, people, package, preset):
    before = contents(package)
    with pytest.raises(InputError, match="Received: "):
        ship(trained, preset, people)
    assert contents(package) == before


def test_a_network_that_rounds_is_refused(people, package):
    path = package / "qat.keras"
    DotNetwork().with_qat().save(path)
    before = contents(package)
    height, width = DotNetwork().image_size
    with pytest.raises(InputError, match="qat: true"):
        ship(path, f"dots_{height}x{width}", people)
    assert contents(package) == before


def test_bad_data_writes_nothing(trained, package, monkeypatch, capsys):
    before = contents(package)
    height, width = DotNetwork().image_size
    monkeypatch.setattr(
        "sys.argv", ["ship", str(trained), f"dots_{height}x{width}", "--calibrate", "missing"]
    )
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("flpn: missing")
    assert contents(package) == before


def test_a_file_that_loses_too_much_is_not_shipped(trained, people, package, monkeypatch):
    """What a file loses is tested with `compare`; here int8 files lose 2 points."""
    height, width = DotNetwork().image_size
    others = synthetic_people.write(package / "others", synthetic_people.document(people=3, seed=1))
    arguments = trained, f"dots_{height}x{width}", people, others
    before = contents(package)
    monkeypatch.setattr(shipped_files, "evaluate", lambda path, data: path.stem)
    monkeypatch.setattr(
        shipped_files,
        "compare",
        lambda found, exact: {"AP": Drop(2.0 if "int8" in found and "int8" not in exact else 0.0, 1.0, 3.0)},
    )
    with pytest.raises(GateError, match=r"_int8.tflite: not written; int8 loses AP 2.00 .*gate is 1\.5"):
        ship(*arguments, gate=1.5)
    assert contents(package) == before
    ship(*arguments, gate=2.0)
    assert arguments[1] in presets.shipped_weights()


@pytest.mark.parametrize(
    "evaluated,gate,message",
    [
        (None, 1.0, "give it with --evaluate"),
        ("missing", None, "missing"),
        ("others", float("nan"), "0 or more. Received: nan"),
        ("others", -1.0, "0 or more. Received: -1"),
        ("people", None, "a gate needs others"),
    ],
)
def test_gates_that_prove_nothing(trained, people, package, evaluated, gate, message):
    before = contents(package)
    height, width = DotNetwork().image_size
    on = people if evaluated == "people" else evaluated
    with pytest.raises(InputError, match=message):
        ship(trained, f"dots_{height}x{width}", people, on, gate)
    assert contents(package) == before
