"""Keras network → a folder that TensorFlow Serving watches, one SavedModel a version in it."""

import re
import shutil
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from flpn_tf.convert.serving import deployment, warmup
from flpn_tf.convert.serving.signatures import signatures
from flpn_tf.errors import InputError
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.presets import SAVED_MODEL, versions_in
from flpn_tf.runtime import files
from flpn_tf.spec import SPEC_FILE

_MAX_VERSION = 2**63 - 1  # an int64 in TensorFlow Serving
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")  # it stands in URLs, configs and Kubernetes manifests


def export(network: PoseNetwork, output, version: int | None = None, flip_test: bool = False) -> Path:
    """Writes `output`/`version`, which TensorFlow Serving and `PoseEstimator` load.

    Beside the versions it writes `deployment.texts`, which start a server; one that is there is kept.

    Args:
        output: the model's folder, whose name is the model's; made where it is missing.
        version: its number; by default one more than the highest there.
        flip_test: see `signatures`.

    Returns:
        The version's folder, which appears whole or not at all: a running server may be watching.

    Raises:
        InputError: as `version_folder`; or the folder cannot be written.
    """
    target = version_folder(output, version)
    output = target.parent
    try:
        output.mkdir(parents=True, exist_ok=True)
        # TensorFlow Serving passes over names that are no numbers.
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=output))
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from error
    try:
        _write(network, partial, output.name, flip_test)
        partial.chmod(0o777 & ~files.umask())  # mkdtemp's folders are private
        partial.rename(target)
        for name, text in deployment.texts(output.name).items():
            if not (output / name).exists():
                files.write_atomically(output / name, text.encode())
    except (OSError, tf.errors.OpError) as error:
        if target.exists() and partial.exists():
            raise _taken(target) from error  # by another export, meanwhile
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise InputError(f"{output}: cannot be written ({reason})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def version_folder(output, version: int | None = None) -> Path:
    """The folder that `export` would write.

    Raises:
        InputError: the name or number can't be used, or the version exists.
    """
    output = Path(output).absolute()
    if not _NAME.fullmatch(output.name):
        raise InputError(
            "the folder's name is the model's on the server, of letters, digits, _ and -. "
            f"Received: {output.name!r}"
        )
    if output.is_file():
        raise InputError(f"{output}: is a file; versions need a folder around them")
    if (output / SAVED_MODEL).exists():
        raise InputError(f"{output}: is a SavedModel itself; versions need a folder around them")
    if version is None:
        version = max(versions_in(output), default=0) + 1
    if not 1 <= version <= _MAX_VERSION:
        raise InputError(f"a version is a number from 1 to {_MAX_VERSION}. Received: {version}")
    target = output / str(version)
    if target.exists():
        raise _taken(target)
    return target


def _taken(target: Path) -> InputError:
    return InputError(f"{target}: exists already; choose another version, or leave it out for the next")


def _write(network: PoseNetwork, folder: Path, name: str, flip_test: bool) -> None:
    # Not `track`: it would store every weight a second time.
    archive = keras.export.ExportArchive()
    for signature, (function, arguments) in signatures(network, flip_test).items():
        archive.add_endpoint(signature, function, input_signature=arguments)
    archive.write_out(str(folder), verbose=False)
    assets = folder / "assets"
    assets.mkdir(exist_ok=True)
    (assets / SPEC_FILE).write_text(network.pose_spec(name).to_json())
    extra = folder / "assets.extra"
    extra.mkdir()
    warmup.write(extra / warmup.FILE, name, network.image_size)
