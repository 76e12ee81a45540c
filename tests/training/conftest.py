"""Drawn people, and the network small enough to train in every test."""

import pytest
import synthetic_people
import tiny_network

from flpn_tf.training import fit


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Eight people."""
    return synthetic_people.write(tmp_path_factory.mktemp("data") / "people", synthetic_people.document())


@pytest.fixture
def tiny(monkeypatch):
    """`fit` builds the tiny network."""
    monkeypatch.setattr(fit, "build_model", tiny_network.build)
