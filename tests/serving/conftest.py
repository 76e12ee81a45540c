"""The network that finds dots, exported once; servers that answer by a script."""

import contextlib
import threading

import dot_model
import numpy as np
import pytest
from dot_network import DotNetwork
from scripted_server import Server

from flpn_tf.convert.serving.export import export


@pytest.fixture(scope="session")
def network():
    return DotNetwork(name="dots")


@pytest.fixture(scope="session")
def exported(network, tmp_path_factory):
    """The model's folder, with version 1."""
    return export(network, tmp_path_factory.mktemp("export") / "dots").parent


@pytest.fixture(scope="session")
def crowd():
    """A photo (150, 220, 3) with dots, and 16 boxes in it."""
    photo = dot_model.photo_with_dots(150, 220, [(60, 40), (90, 70), (70, 110)], radius=9.0)
    boxes = [[20 + 3 * i, 10 + i, 70 + 2 * i, 100 - 3 * i] for i in range(16)]
    return photo, boxes


@pytest.fixture(scope="session")
def pixels():
    """A photo (90, 120, 3)."""
    rows, columns = np.mgrid[:90, :120]
    return np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)


@pytest.fixture
def serve():
    """A function script → a running `Server`."""
    with contextlib.ExitStack() as stack:

        def start(script):
            server = stack.enter_context(Server(script))
            # Asked often whether to end: each test waits for that.
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(server.shutdown)
            return server

        yield start
