"""A run: its folder, and the loop from wherever its checkpoint stands to the end."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.models.load import bare
from flpn_tf.runtime.files import write_atomically
from flpn_tf.runtime.folder_lock import lock
from flpn_tf.training.batch_statistics import settler
from flpn_tf.training.callbacks import Log, NotFinite, Progress, StopWhenNotFinite, WholeEpoch
from flpn_tf.training.checkpoint import (
    Checkpoint,
    Place,
    StopBehindEpoch,
    StopRequest,
    restore,
    save_atomically,
)
from flpn_tf.training.config import ComputeConfig, ScheduleConfig
from flpn_tf.training.networks import freeze_batch_norm, precision
from flpn_tf.training.optimizer import make_optimizer
from flpn_tf.training.strategy import Strategy

MODEL = "model.keras"
BAD_BATCH = "not_finite_batch.npz"


@dataclass(frozen=True)
class Job:
    """What a run trains.

    Attributes:
        name: of what is counted, for messages: "people" or "images".
        size: how many there are.
        build: () → the network with its first weights.
        loss: Keras's loss.
        batches: (first step, whole) → an endless source for `fit`, of this process's part of every batch, or
            of all of it.
        explain: (exception, step) → the InputError behind it, or None.
        callbacks: () → further Keras callbacks; they stand behind the checkpoint, and the log takes up what
            they add to `logs`.
        metrics: of `compile`.
    """

    name: str
    size: int
    build: Callable[[], keras.Model]
    loss: keras.losses.Loss
    batches: Callable[..., object]
    explain: Callable[[Exception, int], InputError | None]
    callbacks: Callable[[], list] = list
    metrics: tuple = ()


def run(
    job: Job,
    strategy: Strategy,
    schedule: ScheduleConfig,
    compute: ComputeConfig,
    output: Path,
    begin: Callable,
) -> Path:
    """Trains `job` and writes `output/model.keras`; goes on where a run of the same config has ended.

    Args:
        begin: called with the epochs done once the run is known to be possible; writes the run's other files.

    Raises:
        InputError: as `fit.train`.
    """
    size = schedule.batch_size
    steps = job.size // size
    if steps == 0:
        raise InputError(
            f"schedule.batch_size is larger than the data set of {job.size} {job.name}; make it smaller. "
            f"Received: {size}"
        )
    if size % strategy.replicas:
        raise InputError(
            f"schedule.batch_size must be a multiple of the {strategy.replicas} devices. Received: {size}"
        )
    epochs = schedule.epochs * schedule.rounds
    model, place = _open(job, strategy, schedule, compute, output, steps)
    if place.step > epochs * steps:
        raise InputError(
            f"{output}: holds a run of another config or data set; choose a new folder, or remove it"
        )
    print(
        f"{job.size} {job.name}, {steps} steps an epoch, {model.count_params():,} weights, on "
        f"{', '.join(keras.distribution.list_devices())}" + _goes_on(place, steps),
        file=sys.stderr,
        flush=True,
    )
    try:
        if strategy.is_chief:
            output.mkdir(parents=True, exist_ok=True)
            lock(output)
            begin(place.step // steps)
        while place.step < epochs * steps:
            done = _train(job, strategy, compute, model, place, steps, epochs, size, output)
            if done == epochs * steps:
                break
            # Only to the end of an epoch begun: `fit` has put the moving average in the weights' place.
            model, place = _open(job, strategy, schedule, compute, output, steps)
        # As `fit` does at its end: the moving average takes the weights' place.
        model.optimizer.finalize_variable_values(model.trainable_variables)
        if strategy.is_chief:
            network = bare(model)
            settler(schedule, job.size, job.batches)(network)
            save_atomically(network, output / MODEL)
    except NotFinite as failure:
        raise (_with_batch(failure, job, output) if strategy.is_chief else failure) from failure
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from error
    return output / MODEL


def _open(job, strategy, schedule, compute, output, steps) -> tuple[keras.Model, Place]:
    """The network and its optimiser as the checkpoint has them, or new."""
    keras.utils.set_random_seed(schedule.seed)
    with precision(compute.precision), strategy.scope():
        model = job.build()
        if schedule.freeze_batch_norm:
            freeze_batch_norm(model)
        model.compile(
            make_optimizer(schedule, steps, model),
            loss=job.loss,
            metrics=list(job.metrics),
            # Not compiled, JAX would run every operation of every step by itself.
            jit_compile=compute.jit or keras.backend.backend() == "jax",
        )
        # Built inside `fit`, its variables would make TensorFlow trace the training step twice.
        model.optimizer.build(model.trainable_variables)
        place = restore(model, output)
    strategy.agree(str(place.step))
    return model, place


def _train(job, strategy, compute, model, place, steps, epochs, size, output) -> int:
    """The steps of the run then done."""
    finite = StopWhenNotFinite(place.step)
    with StopRequest() as stop:
        checkpoint = Checkpoint(
            output, place.step, compute.checkpoint_steps, stop, finite.check, write=strategy.is_chief
        )
        callbacks = [WholeEpoch(place, steps), finite]
        if strategy.is_chief:
            log = Log(output, place.step // steps)
            amend = keras.callbacks.LambdaCallback(on_epoch_end=log.amend)
            # The checkpoint before what measures, which takes long and may fail.
            callbacks += [log, checkpoint, *job.callbacks(), amend, Progress(size, steps, epochs)]
        else:
            callbacks.append(checkpoint)
        callbacks.append(StopBehindEpoch(stop))
        try:
            strategy.fit(model, job.batches, size, place, steps, epochs, callbacks, stop)
        except (InputError, OSError):
            raise
        except Exception as error:
            failure = _out_of_memory(error) or strategy.explain(error) or job.explain(error, checkpoint.step)
            if failure is None:
                raise
            raise failure from error
    return checkpoint.step


def _out_of_memory(error: Exception) -> InputError | None:
    if type(error).__name__ != "ResourceExhaustedError" and "RESOURCE_EXHAUSTED" not in str(error):
        return None
    return InputError("the device's memory is too small for a batch; lower schedule.batch_size")


def _goes_on(place: Place, steps: int) -> str:
    if not place.step:
        return ""
    within = f" and {place.step % steps} steps" if place.step % steps else ""
    return f", going on after epoch {place.step // steps}{within}"


def _with_batch(failure: NotFinite, job: Job, output: Path) -> InputError:
    """Keeps the batch behind a failure."""
    batch = next(iter(job.batches(failure.step, whole=True)))
    content = io.BytesIO()
    names = ("images", "targets", "weights")
    np.savez(content, **{name: np.asarray(part) for name, part in zip(names, batch, strict=False)})
    try:
        write_atomically(output / BAD_BATCH, content.getvalue())
    except OSError as error:
        return InputError(f"{failure} (its batch could not be kept: {error.strerror or error})")
    return InputError(
        f"{failure}; the batch of step {failure.step + 1} of the run is in {output / BAD_BATCH}"
    )
