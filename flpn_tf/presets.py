"""Names of the shipped models and where they lie. Needs no TensorFlow."""

import difflib
import importlib.util
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


def assets_folder() -> Path:
    """The folder of the shipped `.tflite` files."""
    mapped = importlib.util.find_spec("flpn_tf.assets")
    for location in mapped.submodule_search_locations if mapped else ():
        if Path(location).is_dir():
            return Path(location)
    # A checkout that is not installed: `package_dir` has not mapped the folder.
    return Path(__file__).resolve().parent.parent / "android_demo_assets"


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
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4) or known or ["none"]
    if preset in ALIASES.values():
        problem = f"The preset {preset} has no shipped {DEFAULT_FORMAT} weights yet"
    else:
        problem = "No model of that name or path"
    raise InputError(
        f"{problem}; shipped models are, for example, {', '.join(near)}. Received: {str(name)!r}"
    )
