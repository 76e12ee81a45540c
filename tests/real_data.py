"""The real photos that tests use where they are at hand."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[2] / "shared" / "data"


def real_data(name: str) -> Path:
    """The folder of a data set; skips the test, saying so, where it is absent."""
    folder = Path(os.environ.get("FLPN_DATA", _BESIDE)) / name
    if not folder.is_dir():
        pytest.skip(f"no photos at {folder}: set FLPN_DATA to the folder that has {name}/")
    return folder
