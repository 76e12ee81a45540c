"""A `.tflite` file with copies beside it of the spec and the labels that are in it. Needs no TensorFlow."""

import io
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from flpn_tf.errors import InputError
from flpn_tf.runtime.files import check_writable, write_atomically
from flpn_tf.spec import LABELS_FILE, SPEC_FILE


def copies_of(artefact) -> dict[str, Path]:
    """Name inside the file → the copy beside it: `<stem>_pose_spec.json` and `<stem>_labels.txt`."""
    artefact = Path(os.path.realpath(artefact))
    return {name: artefact.with_name(f"{artefact.stem}_{name}") for name in (SPEC_FILE, LABELS_FILE)}


def check_artefact(output) -> Path:
    """`check_writable` for a `.tflite` file and its copies."""
    output = check_writable(output, (".tflite",))
    for copy in copies_of(output).values():
        check_writable(copy)
    return output


def write_artefact(output, model: bytes) -> Path:
    """Writes a `.tflite` file and its copies.

    The file is replaced whole or not at all. The copies of an old one go before it does: whenever this is
    killed, the copies that are there are those of the file, and what is in the file is the truth.

    Raises:
        InputError: a full disk, or another reason not to write; all old files are then as they were.
    """
    target, copies = Path(os.path.realpath(output)), copies_of(output)
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        contents = {target: model} | {copy: archive.read(name) for name, copy in copies.items()}
    staging = None
    try:
        staging = Path(tempfile.mkdtemp(prefix=".flpn.", dir=target.parent))
        for path, content in contents.items():
            write_atomically(staging / path.name, content)
        for copy in copies.values():
            copy.unlink(missing_ok=True)
        for path in contents:
            (staging / path.name).replace(path)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return Path(output)
