"""Where the steps are computed: one device, several of one machine, several machines."""

import contextlib
import functools
import json
import os

import keras

from flpn_tf.errors import InputError
from flpn_tf.training.checkpoint import Place, StopRequest


class Strategy:
    """One device, whatever Keras's backend; the base of the others.

    Attributes:
        replicas: devices that share each batch.
        shard: (index, count) of this process among those that train together.
    """

    replicas = 1
    shard = (0, 1)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.shard[0] == 0

    def scope(self):
        """Context in which network, optimiser and their state are made."""
        return contextlib.nullcontext()

    def agree(self, *values: str) -> None:
        """Compares what should be equal in all processes.

        Raises:
            InputError: it is not.
        """

    def explain(self, error: Exception) -> InputError | None:
        """What an error of `fit` says of the other processes, if anything."""

    def fit(
        self,
        model,
        batches,
        size: int,
        place: Place,
        steps: int,
        epochs: int,
        callbacks: list,
        stop: StopRequest,
    ) -> None:
        """Trains to the end; from within an epoch perhaps only to the end of that.

        Args:
            model: compiled, its optimiser built.
            batches: first step → an endless source of what Keras's `fit` takes: this process's part of each
                batch.
            size: of a batch, all processes together.
            place: where to go on.
            steps: an epoch.
            epochs: of the whole run.
            callbacks: Keras's.
            stop: what they watch.
        """
        begun = place.step % steps
        epoch = place.step // steps
        model.fit(
            batches(place.step),
            initial_epoch=epoch,
            epochs=epoch + 1 if begun else epochs,
            steps_per_epoch=steps - begun,
            shuffle=False,  # the pipeline shuffles
            verbose=0,
            callbacks=callbacks,
        )


class Mirrored(Strategy):
    """`tf.distribute.MirroredStrategy`: all GPUs of this machine, or where it has none its CPU devices."""

    def __init__(self):
        import tensorflow as tf

        kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        self._strategy = tf.distribute.MirroredStrategy(
            [d.name for d in tf.config.list_logical_devices(kind)]
        )
        self.replicas = self._strategy.num_replicas_in_sync

    def scope(self):
        return self._strategy.scope()


class DataParallel(Strategy):
    """`keras.distribution.DataParallel`: all devices that JAX has."""

    def __init__(self):
        self._distribution = keras.distribution.DataParallel()
        self.replicas = len(keras.distribution.list_devices())

    def scope(self):
        return self._distribution.scope()

    def fit(self, *arguments, **options):
        with self.scope():
            super().fit(*arguments, **options)


def open_strategy(name: str) -> Strategy:
    """The strategy of `compute.strategy`; before anything else asks TensorFlow for a device.

    Raises:
        InputError: TF_CONFIG, of several machines, is missing or wrong; or not TensorFlow's backend for them.
    """
    on_tensorflow = keras.backend.backend() == "tensorflow"
    cluster = _cluster() if name == "multi_worker" or (name == "auto" and on_tensorflow) else None
    if name == "multi_worker" or cluster:
        if not on_tensorflow:
            raise InputError(
                "compute.strategy multi_worker needs Keras's TensorFlow backend. "
                f"Received: KERAS_BACKEND={keras.backend.backend()}"
            )
        if cluster is None:
            raise InputError(
                "compute.strategy multi_worker needs the machines in TF_CONFIG: see docs/training.md"
            )
        return _workers(*cluster)
    if name == "mirrored" or (name == "auto" and accelerators() > 1):
        return _mirrored() if on_tensorflow else DataParallel()
    return Strategy()


# One a process: a second would take up the first one's keys of collective operations, of other shapes.
@functools.cache
def _mirrored() -> Strategy:
    return Mirrored()


@functools.cache
def _workers(index: int, count: int) -> Strategy:
    from flpn_tf.training.workers import Workers

    return Workers(index, count)


def accelerators() -> int:
    """How many Keras's backend has on this machine."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return len(tf.config.list_physical_devices("GPU"))
    return sum(not device.startswith("cpu") for device in keras.distribution.list_devices())


def _cluster() -> tuple[int, int] | None:
    """(index, count) of the workers in TF_CONFIG, or None without it."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return None
    try:
        settings = json.loads(text)
        if not settings:
            return None
        workers = settings["cluster"]["worker"]
        index = settings["task"]["index"]
        good = (
            settings["task"]["type"] == "worker"
            and isinstance(workers, list)
            and all(isinstance(worker, str) and ":" in worker for worker in workers)
            and 0 <= index < len(workers)
            and set(settings["cluster"]) == {"worker"}
        )
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise InputError(
            'TF_CONFIG must be {"cluster": {"worker": ["host:port", …]}, '
            f'"task": {{"type": "worker", "index": n}}}}. Received: {text}'
        )
    return index, len(workers)
