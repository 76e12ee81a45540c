"""Files out: written whole or not at all."""

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from flpn_tf.errors import InputError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
STANDARD_OUTPUT = "-"
_NO_PHOTOS = (".json", ".jsonl", ".html", ".yaml", ".yml")


def check_writable(path: str | Path, suffixes: tuple[str, ...] = ()) -> Path:
    """Refuses, before any work is done, an output path that cannot be written.

    Args:
        path: of the file to be written.
        suffixes: the endings allowed; empty for any.

    Raises:
        InputError: another ending, a folder, a device or pipe, or a parent folder that is missing or
            read-only. A symbolic link stands for its target.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"The output must end in {', '.join(suffixes)}. Received: {path}")
    target, mode = Path(os.path.realpath(path)), None
    try:
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise InputError(f"The output cannot be written: {error.strerror}. Received: {path}") from error
    if mode is not None and stat.S_ISDIR(mode):
        raise InputError(f"The output is a folder; give a file name in it. Received: {path}")
    if mode is not None and not stat.S_ISREG(mode):
        raise InputError(f"The output exists and is no ordinary file. Received: {path}")
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        raise InputError(f"The output's folder does not exist or cannot be written to. Received: {path}")
    return path


def check_json_output(to: str | Path | None) -> None:
    """`check_writable` for a `--json` option: None, `STANDARD_OUTPUT` or the path of a file."""
    if str(to) == STANDARD_OUTPUT and sys.stdout is None:
        raise InputError("standard output is closed; give a file. Received: -")
    if to is not None and str(to) != STANDARD_OUTPUT:
        check_writable(to)


def check_apart(output: str | Path, others: Iterable[str | Path]) -> None:
    """Refuses an output that is the same file as one of ``others``, which would be overwritten.

    An existing file of a folder among them, a SavedModel, is refused too.

    Raises:
        InputError: naming both.
    """
    output = Path(output)
    for other in map(Path, others):
        same = os.path.realpath(output) == os.path.realpath(other)
        same |= output.exists() and other.exists() and output.samefile(other)
        if same or _is_within(output, other):
            raise InputError(f"The output would overwrite {other}; give another name. Received: {output}")


def check_no_photo(output: str | Path, photos: str | Path) -> None:
    """Refuses an output that may be one of a data set's photos: an existing file in their folder.

    Raises:
        InputError: naming it.
    """
    if Path(output).suffix.lower() not in _NO_PHOTOS and _is_within(Path(output), Path(photos)):
        raise InputError(f"The output would overwrite a file among the photos. Received: {output}")


def _is_within(output: Path, folder: Path) -> bool:
    """Whether a file that exists lies in a folder."""
    return output.exists() and output.resolve().is_relative_to(folder.resolve())


def write_json(to: str | Path, text: str) -> None:
    """Writes json text to a file, whole or not at all, or to standard output for `STANDARD_OUTPUT`."""
    if str(to) == STANDARD_OUTPUT:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_atomically(to, text.encode())


class PartialFile:
    """A file beside its target, which takes the target's place when it is whole.

    Attributes:
        path: where to write; ends as the target does.

    Args:
        target: links are followed.
    """

    def __init__(self, target: str | Path):
        self._target = Path(os.path.realpath(target))
        handle, name = tempfile.mkstemp(self._target.suffix, ".flpn.", self._target.parent)
        os.close(handle)
        self.path = Path(name)

    def keep(self) -> None:
        """Renames it, so that no reader ever sees half a file."""
        # mkstemp makes private files; give the mode a plain open() would have given.
        self.path.chmod(0o666 & ~umask())
        self.path.replace(self._target)

    def discard(self) -> None:
        """Removes it where it was not kept."""
        self.path.unlink(missing_ok=True)


def umask() -> int:
    """The mode bits that this process takes from new files."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_atomically(path: str | Path, content: bytes) -> None:
    """Writes a file whole or not at all; follows links."""
    partial = PartialFile(path)
    try:
        partial.path.write_bytes(content)
        partial.keep()
    finally:
        partial.discard()


def encode_picture(image: np.ndarray, suffix: str) -> bytes:
    """``(H, W, 3)`` uint8 RGB as the bytes of a picture file; ``suffix`` is one of `PICTURE_SUFFIXES`.

    Raises:
        InputError: a side too long for the format.
    """
    is_encoded, content = cv2.imencode(suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not is_encoded:
        height, width = image.shape[:2]
        raise InputError(
            f"A {suffix} cannot hold so large a picture; take .png. Received: {width}x{height} pixels"
        )
    return content.tobytes()


def sha256_of(path: Path) -> str:
    """Hex digest of a file, or of all files of a SavedModel folder in name order."""
    parts = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in parts:
        digest.update(file.read_bytes())
    return digest.hexdigest()
