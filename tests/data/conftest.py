"""What the tests of `flpn data` share."""

import sys

import pytest

from flpn_tf import cli


@pytest.fixture
def flpn(monkeypatch, capfd):
    """Runs `flpn data …` in this process: (exit code, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["flpn", "data", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as leaving:
            code = leaving.code or 0
        return (code, *capfd.readouterr())

    return run
