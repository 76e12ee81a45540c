"""Conversions that several tests look at, made once a run."""

import os
from pathlib import Path

from flpn_tf.convert import tflite


class Artefacts(dict):
    """Format → path, converted when first asked for, by whichever process of the run that is.

    Two that begin at the same time do the same work: the same network and crops give the same bytes.
    """

    def __init__(self, network, crops, tmp_path_factory, name, **options):
        super().__init__()
        root = tmp_path_factory.getbasetemp()
        shared = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
        self.folder, self.own = shared / f"artefacts_{name}", tmp_path_factory.mktemp(name)
        self.folder.mkdir(exist_ok=True)
        self.given = network, crops, options

    def __missing__(self, to) -> Path:
        network, crops, options = self.given
        folder, file = self.folder / to, f"small_{to}.tflite"
        if not folder.exists():
            (self.own / to).mkdir()
            tflite.convert_file(network, to, self.own / to / file, crops, **options)
            try:
                (self.own / to).rename(folder)
            except OSError:  # another process was faster
                folder = self.own / to
        self[to] = folder / file
        return self[to]
