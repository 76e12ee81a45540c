"""Drawn people, and the network small enough to train in every test."""

import shutil

import pytest
import synthetic_people
import tiny_network
from runs import config

from flpn_tf.training import fit
from flpn_tf.training.fit import train


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Eight people."""
    return synthetic_people.write(tmp_path_factory.mktemp("data") / "people", synthetic_people.document())


@pytest.fixture
def tiny(monkeypatch):
    """`fit` builds the tiny network."""
    monkeypatch.setattr(fit, "build_model", tiny_network.build)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The folder of an uninterrupted run."""
    output = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "build_model", tiny_network.build)
        assert train(config(), data, output) == output / "model.keras"
    return output


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of it to spoil."""
    return shutil.copytree(finished, tmp_path / "run")
