"""The config in a run's folder, which says what the run is of."""

import dataclasses
from pathlib import Path

from flpn_tf.errors import InputError
from flpn_tf.runtime.files import write_atomically
from flpn_tf.training.config_file import dump_config, load_config

CONFIG = "config.yaml"


def write_config(output: Path, identity: str, config) -> None:
    """Writes `output/config.yaml`.

    Args:
        identity: of the data, one line that begins with "#".
        config: of any kind that `load_config` reads.
    """
    write_atomically(output / CONFIG, f"{identity}\n{dump_config(config)}".encode())


def refuse_other_run(output: Path, identity: str, config) -> None:
    """A run may go on with other devices and checkpoints, with nothing else changed.

    Raises:
        InputError: `output/config.yaml` is of another run, or cannot be read.
    """
    stored = output / CONFIG
    try:
        if not stored.exists():
            if any(output.glob("checkpoint*")):  # of either backend
                raise InputError(
                    f"{output}: has a checkpoint without {CONFIG}; choose a new folder, or remove it"
                )
            return
        same = stored.read_text(errors="replace").startswith(f"{identity}\n")
    except OSError as error:
        raise InputError(f"{stored}: cannot be read ({error.strerror})") from error

    def learnt(config):
        compute = dataclasses.replace(config.compute, strategy="auto", jit=False, checkpoint_steps=0)
        return dataclasses.replace(config, compute=compute)

    try:
        same = same and learnt(load_config(stored, kind=type(config))) == learnt(config)
    except InputError:
        same = False
    if not same:
        raise InputError(
            f"{output}: holds a run of another config or data set; choose a new folder, or remove it"
        )
