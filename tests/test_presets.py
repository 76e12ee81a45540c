import hashlib
import json

import pytest
from helpers import exit_code, run_python

from flpn_tf import presets
from flpn_tf.errors import InputError


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    for name in ("flpn50_people_256x192_float16", "flpn50_people_256x192_int8", "other_float16"):
        (tmp_path / f"{name}.tflite").write_bytes(b"model")
    monkeypatch.setattr(presets, "assets_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flpn50", "flpn50_people_256x192_float16"),
        ("flpn50_people_256x192", "flpn50_people_256x192_float16"),
        ("flpn50_people_256x192_int8", "flpn50_people_256x192_int8"),
        ("other", "other_float16"),
    ],
)
def test_names_lead_to_artefacts(shelf, name, expected):
    assert presets.resolve_model(name) == shelf / f"{expected}.tflite"


def test_a_path_that_exists_is_taken_as_it_is(shelf, tmp_path):
    path = tmp_path / "mine.keras"
    path.write_bytes(b"")
    assert presets.resolve_model(path) == path
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"")
    assert presets.resolve_model(str(folder)) == folder


def test_a_folder_called_like_a_preset_does_not_hide_it(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flpn50").mkdir()
    assert presets.resolve_model("flpn50").name == "flpn50_people_256x192_float16.tflite"


@pytest.mark.parametrize("name", ["flpn5", "fplnpeople_int8", "flpn-mobile", "missing/model.tflite", ""])
def test_an_unknown_name_is_refused_with_the_nearest(shelf, name):
    with pytest.raises(InputError, match=r"flpn50.*Received: '" + name):
        presets.resolve_model(name)


def test_aliases_name_the_fixed_presets():
    assert presets.ALIASES["flpn50"] == "flpn50_people_256x192"
    assert presets.DEFAULT_MODEL in presets.ALIASES


def test_assets_folder_is_the_shipped_one():
    assert (presets.assets_folder() / "pose_spec.schema.json").is_file()


def test_only_what_is_shipped_is_offered(shelf):
    with pytest.raises(InputError, match="mobile.* has no shipped float16 weights yet; .*flpn50"):
        presets.resolve_model("flpn-mobile")
    with pytest.raises(InputError, match="No model of that name") as caught:
        presets.resolve_model("flpn-mobil")
    assert "flpn-mobile" not in str(caught.value)


def test_a_folder_that_is_no_saved_model_is_called_so(shelf, tmp_path):
    folder = tmp_path / "X.tflite"
    folder.mkdir()
    with pytest.raises(InputError, match="no SavedModel"):
        presets.resolve_model(folder)


def test_names_too_long_and_empty_are_refused(shelf, tmp_path, monkeypatch):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for name in ("", "x" * 300):
        with pytest.raises(InputError, match="No model of that name"):
            presets.resolve_model(name)


def test_a_training_run_is_told_from_a_saved_model(tmp_path):
    (tmp_path / "model.keras").touch()
    with pytest.raises(InputError, match=r"is a training run; give .*model\.keras\. Received: "):
        presets.resolve_model(tmp_path)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A folder of one preset of another class, in place of the shipped ones."""
    from dot_network import DotNetwork

    path = tmp_path / "dots_people_64x48.keras"
    DotNetwork().save(path)
    entry = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "parameters": 1}
    (tmp_path / presets.PRESETS_FILE).write_text(json.dumps({path.stem: entry}))
    monkeypatch.setattr(presets, "weights_folder", lambda: tmp_path)
    monkeypatch.setattr(presets, "ALIASES", presets.ALIASES | {"dots": path.stem})
    return path


@pytest.fixture(scope="module", params=sorted(presets.shipped_weights()))
def shipped(request):
    """(name, network)"""
    from flpn_tf.models import FLPN

    return request.param, FLPN.from_preset(request.param)


def test_shipped_weights_are_those_listed(shipped):
    from flpn_tf.complexity import measure

    name, network = shipped
    listed = presets.shipped_weights()[name]
    content = presets.weights_path(name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == listed["sha256"]
    assert measure(network).params == listed["parameters"]
    assert name.endswith("_{}x{}".format(*network.image_size))


def test_every_file_of_weights_is_listed():
    files = {path.stem for path in presets.weights_folder().glob("*.keras")}
    assert files == set(presets.shipped_weights())


def test_from_preset_after_importing_the_package_alone(tmp_path):
    code = """
    import flpn_tf
    model = flpn_tf.FLPN.from_preset("flpn-mobile")
    fresh = flpn_tf.FLPN.from_preset("flpn_mobile_people_192x160", load_weights=False)
    assert type(model) is type(fresh) is flpn_tf.FLPN
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert fresh.get_config() == model.get_config()
    assert fresh.weights_sha256() != model.weights_sha256()
    print(model.image_size)
    """
    assert run_python(code, tmp_path).splitlines()[-1] == "(192, 160)"


def test_a_preset_is_of_its_class(weights):
    from dot_network import DotNetwork

    from flpn_tf.models import FLPN
    from flpn_tf.models.pose_network import PoseNetwork

    assert isinstance(PoseNetwork.from_preset("dots"), DotNetwork)
    with pytest.raises(InputError, match=r"dots is no FLPN; use DotNetwork\.from_preset\. Received: 'dots'"):
        FLPN.from_preset("dots")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dot", "No preset of that name; presets are, for example, dots"),
        ("", "No preset of that name; presets are, for example, dots, dots_people_64x48"),
        ("flpn50", "The preset flpn50_people_256x192 has no shipped weights yet; those that have are dots"),
    ],
)
def test_presets_without_weights_are_refused(weights, name, said):
    with pytest.raises(InputError, match=f"^{said}.*Received: '{name}'$"):
        presets.weights_path(name)


@pytest.mark.parametrize("damage", ["missing", "altered"])
def test_damaged_weights_are_not_loaded(weights, damage):
    content = weights.read_bytes()
    weights.unlink()
    if damage == "altered":
        weights.write_bytes(content[:-1] + b"x")
    with pytest.raises(
        InputError, match="dots_people_64x48.keras: is missing or damaged .* install flpn-tf again"
    ):
        presets.weights_path("dots")


def test_commands_take_presets_where_no_file_has_the_name(weights, tmp_path, monkeypatch):
    from flpn_tf.models.load import load_network, network_path

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dots").mkdir()  # a folder hides none
    assert load_network("dots").weights_sha256() == load_network(weights).weights_sha256()
    assert network_path("dots_people_64x48") == weights
    (tmp_path / "dots_people_64x48").write_bytes(b"")
    assert network_path("dots_people_64x48").name == "dots_people_64x48"
    with pytest.raises(InputError, match="dot: there is no such file; give a .keras model, or a preset such"):
        load_network("dot")


@pytest.mark.parametrize(
    "command",
    [
        ["convert", "flpn50", "a.tflite"],
        ["export", "flpn50", "served"],
        ["ratios", "flpn50_people_256x192", "DATA"],
        ["train", "c.yaml", "--data", "DATA", "--output", "run", "--init", "flpn50"],
    ],
    ids=lambda command: command[0],
)
def test_each_command_knows_presets(tmp_path, monkeypatch, capsys, command):
    import synthetic_people

    data = synthetic_people.write(tmp_path / "people", synthetic_people.document())
    (tmp_path / "c.yaml").write_text("model: {width: 0.25, image_size: [64, 64]}\nschedule: {batch_size: 4}")
    monkeypatch.chdir(tmp_path)
    arguments = [str(data) if argument == "DATA" else argument for argument in command]
    assert exit_code(monkeypatch, *arguments) == 2
    assert "The preset flpn50_people_256x192 has no shipped weights yet" in capsys.readouterr().err
