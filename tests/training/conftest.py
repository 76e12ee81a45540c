"""Drawn people, and the network small enough to train in every test."""

import shutil

import pytest
import small_network
import synthetic_people
import tiny_network
from helpers import randomise
from runs import config

from flpn_tf.training import fit
from flpn_tf.training.fit import train


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Eight people."""
    return synthetic_people.write(tmp_path_factory.mktemp("data") / "people", synthetic_people.document())


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    """The small network with random weights, saved."""
    path = tmp_path_factory.mktemp("init") / "init.keras"
    model = randomise(small_network.build(config().model, synthetic_people.SKELETON))
    last = model.get_layer("heatmaps")
    last.kernel.assign(last.kernel * 0.1)
    model.save(path)
    return path


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
