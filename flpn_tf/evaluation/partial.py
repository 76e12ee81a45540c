"""The poses of an evaluation that was interrupted."""

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np

from flpn_tf.errors import InputError, printable
from flpn_tf.runtime.files import write_atomically

SUFFIX = ".partial"


class Partial:
    """Keeps the first poses of an evaluation beside the file that all of them will be in.

    Args:
        results: that file.
        identity: what the poses depend on, json-ready; those of something else are not gone on with.
    """

    def __init__(self, results: Path, identity: dict):
        self.path = Path(f"{results}{SUFFIX}")
        self._identity = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def read(self) -> tuple[np.ndarray, ...] | None:
        """The arrays that `write` was given, or None where there are none that can be read.

        Raises:
            InputError: they are of another evaluation.
        """
        try:
            with np.load(io.BytesIO(self.path.read_bytes()), allow_pickle=False) as stored:
                arrays = tuple(stored[f"arr_{place}"] for place in range(len(stored.files) - 1))
                identity = str(stored["identity"])
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
            print(printable(f"flpn: {self.path} cannot be read; all poses are found anew"), file=sys.stderr)
            return None
        if identity != self._identity:
            raise InputError(
                f"{self.path}: holds poses of another model, data set or option, found so far; remove it, or "
                "write the results to another file"
            )
        return arrays

    def write(self, stderr, *arrays: np.ndarray) -> None:
        """Replaces what was kept; where that is not possible, says so on `stderr`."""
        stream = io.BytesIO()
        np.savez(stream, *arrays, identity=self._identity)
        try:
            write_atomically(self.path, stream.getvalue())
        except OSError as error:
            print(
                printable(f"flpn: {self.path} cannot be written ({error.strerror}), so this could not go on"),
                file=stderr,
                flush=True,
            )
