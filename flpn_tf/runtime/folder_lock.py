"""One process at a time writes into a folder."""

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from flpn_tf.errors import InputError

_locked: dict[Path, int] = {}


def lock(folder: Path) -> None:
    """Keeps other processes from locking a folder as long as this one lives, where the file system can.

    Raises:
        InputError: one has locked it.
    """
    if fcntl is None or folder.resolve() in _locked:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise InputError(
            f"{folder}: another process writes into it; stop that, or choose a new folder"
        ) from error
    except OSError:  # a file system without locks
        os.close(handle)
        return
    _locked[folder.resolve()] = handle
