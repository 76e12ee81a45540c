"""Training over several machines, for which Keras 3.15's `fit` fails (docs/decisions.md)."""

import hashlib

import keras
import tensorflow as tf

from flpn_tf.errors import InputError
from flpn_tf.training.checkpoint import Place, StopRequest
from flpn_tf.training.strategy import Strategy


class Workers(Strategy):
    """`tf.distribute.MultiWorkerMirroredStrategy`, one process a machine, each with TF_CONFIG.

    The training step is Keras's own `Model.train_step`; only `fit`'s loop around it is written out.

    Args:
        index: of this process.
        count: of all.
    """

    def __init__(self, index: int, count: int):
        try:
            self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except (tf.errors.OpError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"the workers of TF_CONFIG cannot meet ({reason})") from error
        self.shard = (index, count)
        self.replicas = self._strategy.num_replicas_in_sync

    def scope(self):
        return self._strategy.scope()

    def agree(self, *values):
        digest = hashlib.sha256("\0".join(values).encode()).digest()
        mine = tf.constant([int.from_bytes(digest[:7], "big")], tf.int64)

        @tf.function(autograph=False)
        def everybody():
            return self._strategy.gather(self._strategy.run(lambda: tf.identity(mine)), axis=0)

        try:
            theirs = everybody().numpy()
        except tf.errors.OpError as error:
            raise self.explain(error) or error from error
        if len(set(theirs.tolist())) > 1:
            raise InputError(
                "the workers have not the same config, data or checkpoint; give all the same, and an output "
                "folder on a disk that all of them see"
            )

    def explain(self, error):
        gone = (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.DeadlineExceededError,
            tf.errors.CancelledError,
        )
        if not isinstance(error, gone):
            return None
        return InputError(
            "another worker has gone; start the same command on every worker again, they go on from the "
            "checkpoint"
        )

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
        strategy = self._strategy

        def own(context):
            return batches(place.step).rebatch(size // self.replicas, drop_remainder=True)

        iterator = iter(strategy.distribute_datasets_from_function(own))
        train_step = (
            tf.function(model.train_step, jit_compile=True) if model.jit_compile else model.train_step
        )

        @tf.function(autograph=False)
        def step(batch, asked):
            logs = strategy.run(train_step, args=(batch,))
            asked = strategy.run(lambda: tf.identity(asked))
            means = {name: strategy.reduce("MEAN", value, axis=None) for name, value in logs.items()}
            return means, strategy.reduce("SUM", asked, axis=None)

        listeners = keras.callbacks.CallbackList(callbacks, model=model)
        begun = place.step % steps
        listeners.set_params({"epochs": epochs, "steps": steps - begun, "verbose": 0})
        listeners.on_train_begin()
        for epoch in range(place.step // steps, epochs):
            listeners.set_params({"epochs": epochs, "steps": steps - begun, "verbose": 0})
            model.reset_metrics()
            listeners.on_epoch_begin(epoch)
            for batch in range(steps - begun):
                listeners.on_train_batch_begin(batch)
                means, asked = step(next(iterator), tf.constant(float(stop.asked)))
                # All end behind one step, whichever was asked, or some would wait for the others for ever.
                stop.agreed = bool(asked > 0)
                logs = {name: float(value) for name, value in means.items()}
                listeners.on_train_batch_end(batch, dict(logs))
            listeners.on_epoch_end(epoch, logs)
            begun = 0
        model.optimizer.finalize_variable_values(model.trainable_variables)
        listeners.on_train_end()
