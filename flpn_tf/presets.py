"""Names of the shipped models and where they lie. Needs no TensorFlow."""

import difflib
import importlib.util
import json
import os
import re
from pathlib import Path

from flpn_tf.errors import InputError

FORMATS = ("float32", "float16", "dynamic", "int8", "int8_float_io", "int16x8")
DEFAULT_FORMAT = "float16"

ALIASES = {
    "flpn50": "flpn50_people_256x192",
    "flpn-mobile": "flpn_mobile_people_192x160",
}
DEFAULT_MODEL = "flpn-mobile"

SAVED_MODEL = "saved_model.pb"  # the file that makes a folder one
PRESETS_FILE = "presets.json"  # in the weights' folder


def assets_folder() -> Path:
    """The folder of the shipped `.tflite` files."""
    return _folder("flpn_tf.assets", "android_demo_assets")


def weights_folder() -> Path:
    """The folder of the shipped `.keras` files and `PRESETS_FILE`."""
    return _folder("flpn_tf.training", "training") / "weights"


def _folder(package: str, in_checkout: str) -> Path:
    mapped = importlib.util.find_spec(package)
    for location in mapped.submodule_search_locations if mapped else ():
        if Path(location).is_dir():
            return Path(location)
    # A checkout that is not installed: `package_dir` has not mapped the folder.
    return Path(__file__).resolve().parent.parent / in_checkout


def shipped_weights() -> dict[str, dict]:
    """Preset → `sha256` of its `.keras` file and trainable `parameters`; `flpn_tf.convert.ship` writes it."""
    path = weights_folder() / PRESETS_FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def is_preset(name: str | Path) -> bool:
    """Whether it is a preset or an alias, with shipped weights or without."""
    return str(name) in {*ALIASES, *ALIASES.values(), *shipped_weights()}


def weights_path(name: str | Path) -> Path:
    """The `.keras` file of a preset or an alias, its checksum checked.

    Args:
        name: preset or alias.

    Returns:
        Its path in the package.

    Raises:
        InputError: neither, with the nearest names; a preset without shipped weights; or a damaged file.
    """
    preset, shipped = ALIASES.get(str(name), str(name)), shipped_weights()
    if preset not in shipped:
        known = [alias for alias, of in ALIASES.items() if of in shipped] + list(shipped)
        if is_preset(name):
            problem = f"The preset {preset} has no shipped weights yet; those that have are"
        else:
            problem = "No preset of that name; presets are, for example,"
        raise InputError(f"{problem} {_nearest(name, known)}. Received: {str(name)!r}")
    from flpn_tf.runtime.files import sha256_of  # OpenCV, which names alone do not need

    path = weights_folder() / f"{preset}.keras"
    if not path.is_file() or sha256_of(path) != shipped[preset]["sha256"]:
        raise InputError(f"{path}: is missing or damaged by its checksum; install flpn-tf again")
    return path


def shipped_models() -> list[str]:
    """Names of the artefacts in the assets folder, without `.tflite`."""
    return sorted(path.stem for path in assets_folder().glob("*.tflite"))


def versions_in(folder: str | Path) -> dict[int, Path]:
    """The versions in a model's folder as TensorFlow Serving has it, by number; empty where it is none."""
    if not os.path.isdir(folder):  # noqa: PTH112, `Path.is_dir` raises for a name too long
        return {}
    return {int(path.name): path for path in Path(folder).iterdir() if _is_version(path)}


def label_of(path: Path) -> str:
    """What a report calls a model: the name of its file, a version's beside that of the model's folder."""
    return "/".join(path.parts[-2:]) if _is_version(path) else path.name


def _is_version(path: Path) -> bool:
    return re.fullmatch("[0-9]+", path.name) is not None


def resolve_model(name: str | Path) -> Path:
    """The model file or folder that MODEL means.

    Args:
        name: an existing path, an artefact (``<preset>_<format>``), a preset, or an alias; the last two mean
            the preset's float16 artefact. A folder of `flpn export` stands for its newest version.

    Raises:
        InputError: none of these, with the nearest names; a preset without shipped weights; or a folder that
            is no SavedModel.
    """
    path = Path(name)
    # `Path("")` is the folder one is in; `Path.is_file` raises for a name too long.
    if str(name) and any(map(os.path.isfile, (path, path / SAVED_MODEL))):
        return path
    if str(name) and (versions := versions_in(path)):
        newest = versions[max(versions)]
        if os.path.isfile(newest / SAVED_MODEL):  # noqa: PTH113
            return newest
    shipped = shipped_models()
    preset = ALIASES.get(str(name), str(name))
    for stem in (preset, f"{preset}_{DEFAULT_FORMAT}"):
        if stem in shipped:
            return assets_folder() / f"{stem}.tflite"
    if str(name) and os.path.isfile(path / "model.keras"):  # noqa: PTH113
        raise InputError(
            f"The folder is a training run; give {path / 'model.keras'}. Received: {str(name)!r}"
        )
    if str(name) and os.path.isdir(path):  # noqa: PTH112
        raise InputError(f"The folder is no SavedModel: it has no {SAVED_MODEL}. Received: {str(name)!r}")
    known = [alias for alias, of in ALIASES.items() if f"{of}_{DEFAULT_FORMAT}" in shipped] + shipped
    if preset in ALIASES.values():
        problem = f"The preset {preset} has no shipped {DEFAULT_FORMAT} weights yet"
    else:
        problem = "No model of that name or path"
    raise InputError(
        f"{problem}; shipped models are, for example, {_nearest(name, known)}. Received: {str(name)!r}"
    )


def _nearest(name: str | Path, known: list[str]) -> str:
    return ", ".join(difflib.get_close_matches(str(name), known, n=3, cutoff=0.4) or known or ["none"])
