"""Files out: written whole or not at all."""

import os
import tempfile
from pathlib import Path

import cv2
import numpy as np

from flpn_tf.errors import InputError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")


def check_writable(path: str | Path, suffixes: tuple[str, ...] = ()) -> Path:
    """Refuses, before any work is done, an output path that cannot be written.

    Args:
        path: of the file to be written.
        suffixes: the endings allowed; empty for any.

    Raises:
        InputError: another ending, a folder, or a parent folder that is missing or read-only.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"The output must end in {', '.join(suffixes)}. Received: {path}")
    if path.is_dir():
        raise InputError(f"The output is a folder; give a file name in it. Received: {path}")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"The output's folder does not exist or cannot be written to. Received: {path}")
    return path


def write_atomically(path: str | Path, content: bytes) -> None:
    """Writes beside the target and renames, so that no reader ever sees half a file."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        # mkstemp makes private files; give the mode a plain open() would have given.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def encode_picture(image: np.ndarray, suffix: str) -> bytes:
    """``(H, W, 3)`` uint8 RGB as the bytes of a picture file; ``suffix`` is one of `PICTURE_SUFFIXES`."""
    return cv2.imencode(suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
