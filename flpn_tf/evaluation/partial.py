"""The poses of an evaluation that was interrupted."""

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np

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
        """The arrays that `write` was given, or None where there are none of this evaluation."""
        try:
            with np.load(io.BytesIO(self.path.read_bytes()), allow_pickle=False) as stored:
                arrays = tuple(stored[f"arr_{place}"] for place in range(len(stored.files) - 1))
                if str(stored["identity"]) == self._identity:
                    return arrays
            reason = "is of another evaluation"
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile):
            reason = "cannot be read"
        print(f"flpn: {self.path} {reason}; all poses are found anew", file=sys.stderr)
        return None

    def write(self, *arrays: np.ndarray) -> None:
        """Replaces what was kept."""
        stream = io.BytesIO()
        np.savez(stream, *arrays, identity=self._identity)
        write_atomically(self.path, stream.getvalue())
