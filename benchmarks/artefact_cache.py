"""Converted networks kept between runs, for as long as they would come out the same."""

import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path

from flpn_tf.runtime.files import write_atomically

REPOSITORY = Path(__file__).resolve().parents[1]
STAMP = "sources.sha256"


def open_cache(folder: Path, *others: Path, fresh: bool = False) -> None:
    """Makes the folder, emptied where what its files are made from has changed, or `fresh`.

    Args:
        folder: of the files.
        others: what they are made from beside the layers, the networks and the conversion.
    """
    stamp, digest = folder / STAMP, _digest(others).encode()
    if fresh or not stamp.is_file() or stamp.read_bytes() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_atomically(stamp, digest)


def _digest(others) -> str:
    paths = list(others)
    for folder in ("flpn_tf/layers", "flpn_tf/models", "convert"):
        paths += sorted((REPOSITORY / folder).glob("*.py"))
    digest = hashlib.sha256(f"{version('tensorflow')} {version('keras')}".encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
