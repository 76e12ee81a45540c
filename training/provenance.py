"""What a run was made with, beside its weights."""

import contextlib
import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import keras

from flpn_tf.errors import InputError
from flpn_tf.runtime.files import write_atomically

RUN = "run.json"
_PACKAGES = ("flpn-tf", "keras", "tensorflow", "jax", "numpy", "opencv-python-headless")


def record_session(output: Path, data, epochs_done: int, counted: str = "people") -> None:
    """Adds this start of the run to `output/run.json`.

    One entry a start, the first and each that went on: time (UTC), command line, epochs done before, git
    commit of the code's checkout and whether it was changed, package versions, backend, the data's checksum.
    """
    path = output / RUN
    try:
        sessions = list(json.loads(path.read_text())["sessions"]) if path.exists() else []
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is damaged; remove it, and a new one is begun") from error
    sessions.append(
        {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": sys.argv,
            "epochs_done": epochs_done,
            "git": _git(),
            "python": platform.python_version(),
            "packages": _versions(),
            "backend": keras.backend.backend(),
            "data": {"source": data.source.name, counted: len(data), "sha256": data.sha256},
        }
    )
    write_atomically(path, (json.dumps({"sessions": sessions}, indent=1) + "\n").encode())


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _git() -> dict | None:
    """Commit and whether tracked files differ from it; None outside of a checkout of this project."""
    folder = Path(__file__).parent

    def git(*arguments):
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        # An installed copy may lie in somebody else's checkout, which does not track it.
        if not git("ls-files", Path(__file__).name):
            return None
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.TimeoutExpired):
        return None
