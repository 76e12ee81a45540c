import pytest

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
