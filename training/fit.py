"""`compile` and `fit`: from a config and a data set to a trained `.keras`."""

import contextlib
import sys
from pathlib import Path

import keras
import tensorflow as tf

from flpn_tf.data.manifest import PreparedPeople
from flpn_tf.data.pipeline import explain, training_dataset
from flpn_tf.data.records import People
from flpn_tf.data.sources import open_people
from flpn_tf.errors import InputError
from flpn_tf.models import FLPN, LPN, SimpleBaseline
from flpn_tf.models.load import load_network
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.runtime.files import write_atomically
from flpn_tf.training.callbacks import CHECKPOINT, Checkpoint, Progress, StopWhenNotFinite, save_atomically
from flpn_tf.training.config import Config, ModelConfig, ScheduleConfig, dump_config
from flpn_tf.training.initialise import initialise
from flpn_tf.training.learning_rate import make_learning_rate
from flpn_tf.training.loss import HeatmapLoss
from flpn_tf.training.provenance import record_session

CONFIG = "config.yaml"
LOG = "log.csv"
MODEL = "model.keras"


def train(config: Config, data, output, init=None, images=None, split=None) -> Path:
    """Trains on the people of a data set and writes `OUTPUT/model.keras`.

    Interrupted at any point, the same call goes on after the last finished epoch, from its weights,
    optimiser and place in the data's order; on a finished run it writes the same model again.

    Args:
        data, images, split: a folder that `flpn data prepare` made, or what `read_people` takes.
        output: folder for `config.yaml`, `checkpoint.keras`, `log.csv` and, at the end, `model.keras`.
        init: a `.keras` model of the same layers to start from, of any input size and joints: see
            `initialise`. It has no part in a run that goes on.

    Returns:
        The path of the trained model (moving-average weights where the config asks for them).

    Raises:
        InputError: bad data, a photo that cannot be decoded, a config that fits neither data nor network,
            an output folder of another run or that cannot be written, a loss that is not finite. Once
            an epoch is done, its checkpoint survives each of these.
    """
    with _precision(config.compute.precision):
        return _train(config, open_people(data, images, split), Path(output), init)


def _train(config: Config, people: People | PreparedPeople, output: Path, init) -> Path:
    skeleton, schedule = people.skeleton, config.schedule
    steps = len(people) // schedule.batch_size
    if steps == 0:
        raise InputError(
            f"schedule.batch_size is larger than the data set of {len(people)} people; make it smaller. "
            f"Received: {schedule.batch_size}"
        )
    of = "the prepared data" if isinstance(people, PreparedPeople) else people.source.name
    identity = f"# {len(people)} people, sha256 of {of} {people.sha256}\n{dump_config(config)}"
    _refuse_other_run(output, identity)
    keras.utils.set_random_seed(schedule.seed)
    if (output / CHECKPOINT).exists():
        model = _load_checkpoint(output)
    else:
        model = build_model(config.model, skeleton)
        if init is not None:
            initialise(model, init)
        model.compile(
            make_optimizer(schedule, steps, model), loss=HeatmapLoss(), jit_compile=config.compute.jit
        )
        # Built inside `fit`, its variables would make TensorFlow trace the training step twice.
        model.optimizer.build(model.trainable_variables)
    done = int(model.optimizer.iterations) // steps
    print(
        f"{len(people)} people, {steps} steps an epoch, {model.count_params():,} weights, "
        f"on {', '.join(keras.distribution.list_devices())}"
        + (f", going on after epoch {done}" if done else ""),
        file=sys.stderr,
        flush=True,
    )
    try:
        output.mkdir(parents=True, exist_ok=True)
        write_atomically(output / CONFIG, identity.encode())
        record_session(output, people, done)
        if done < schedule.epochs:
            batches = training_dataset(
                people,
                model.codec,
                config.model.image_size,
                schedule.batch_size,
                seed=schedule.seed,
                first_step=done * steps,
                augmentation=config.augmentation,
            )
            model.fit(
                batches,
                epochs=schedule.epochs,
                initial_epoch=done,
                steps_per_epoch=steps,
                shuffle=False,  # the pipeline shuffles
                verbose=0,
                callbacks=[
                    StopWhenNotFinite(),
                    Checkpoint(output),
                    keras.callbacks.CSVLogger(output / LOG, append=done > 0),
                    Progress(schedule.batch_size),
                ],
            )
        else:
            # What `fit` does at its end: the moving average takes the weights' place.
            model.optimizer.finalize_variable_values(model.trainable_variables)
        save_atomically(_without_optimizer(model), output / MODEL)
    except tf.errors.OpError as error:
        step = int(model.optimizer.iterations)
        failure = explain(people, schedule.batch_size, schedule.seed, step)
        if failure is None:
            raise
        raise failure from error
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from error
    return output / MODEL


def make_optimizer(config: ScheduleConfig, steps_per_epoch: int, model=None) -> keras.optimizers.Optimizer:
    """Adam, or AdamW on the model's kernels, under the config's learning-rate schedule."""
    rate = make_learning_rate(config, steps_per_epoch)
    options = {"global_clipnorm": config.clip_norm}
    if config.ema is not None:
        options |= {"use_ema": True, "ema_momentum": config.ema}
    if not config.weight_decay:
        return keras.optimizers.Adam(rate, **options)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=config.weight_decay, **options)
    others = [v for v in model.trainable_variables if "kernel" not in v.name]
    optimizer.exclude_from_weight_decay(var_list=others)
    return optimizer


def build_model(config: ModelConfig, skeleton) -> PoseNetwork:
    """The network of a config; its ValueErrors become one-line InputErrors."""
    arguments = {"depth": config.depth, "image_size": config.image_size, "skeleton": skeleton}
    if config.block is not None:
        arguments["block"] = config.block
    try:
        if config.network == "simple_baseline":
            return SimpleBaseline(**arguments)
        if config.network == "lpn":
            return LPN(**arguments)
        if config.block in (None, "smart"):
            arguments["ratios"] = config.ratios
        return FLPN(width=config.width, head_filters=config.head_filters, **arguments)
    except ValueError as error:
        raise InputError(f"model: {error}") from error


@contextlib.contextmanager
def _precision(policy: str):
    """Layers built meanwhile compute in this Keras dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _refuse_other_run(output: Path, identity: str) -> None:
    stored = output / CONFIG
    try:
        if stored.exists() and stored.read_bytes() != identity.encode():
            raise InputError(
                f"{output}: holds a run of another config or data set; choose a new folder, or remove it"
            )
    except OSError as error:
        raise InputError(f"{stored}: cannot be read ({error.strerror})") from error


def _load_checkpoint(output: Path):
    try:
        return load_network(output / CHECKPOINT, compiled=True)
    except InputError as error:
        raise InputError(f"{error}; remove {output} to begin again") from error


def _without_optimizer(model):
    """A copy that was never compiled: whoever loads its file needs neither optimiser nor loss class."""
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    return bare
