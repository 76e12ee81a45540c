"""`compile` and `fit`: from a config and a data set to a trained `.keras`."""

import json
import sys
from pathlib import Path

import keras

from flpn_tf.codec import HeatmapCodec
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.coco import find_data_set, read_coco
from flpn_tf.data.pipeline import training_dataset
from flpn_tf.errors import InputError
from flpn_tf.models import FLPN
from flpn_tf.models.load import load_network
from flpn_tf.training.callbacks import CHECKPOINT, PROGRESS, Checkpoint, Progress, save_atomically
from flpn_tf.training.config import Config, ModelConfig, ScheduleConfig, dump_config
from flpn_tf.training.loss import HeatmapLoss

MODEL = "model.keras"


def make_optimizer(config: ScheduleConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Adam under the config's learning-rate schedule."""
    if config.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if config.warmup_steps else config.learning_rate,
            decay_steps=max(1, config.epochs * steps_per_epoch - config.warmup_steps),
            warmup_target=config.learning_rate if config.warmup_steps else None,
            warmup_steps=config.warmup_steps,
        )
    else:
        boundaries = [epoch * steps_per_epoch for epoch in config.drops]
        values = [config.learning_rate * 0.1**i for i in range(len(boundaries) + 1)]
        rate = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
    use_ema = config.ema is not None
    return keras.optimizers.Adam(rate, use_ema=use_ema, ema_momentum=config.ema if use_ema else 0.99)


def build_model(config: ModelConfig, skeleton) -> FLPN:
    """The network of a config; its ValueErrors become one-line InputErrors."""
    try:
        return FLPN(
            depth=config.depth,
            ratios=config.ratios,
            image_size=config.image_size,
            width=config.width,
            head_filters=config.head_filters,
            skeleton=skeleton,
        )
    except ValueError as error:
        raise InputError(f"model: {error}") from error


def train(config: Config, data, output, init=None) -> Path:
    """Trains on the people of a data-set folder and writes `OUTPUT/model.keras`.

    Interrupted at any point, the same call goes on after the last finished epoch.

    Args:
        data: folder with `annotations.json` and `images/`.
        output: folder for `config.yaml`, `checkpoint.keras`, `progress.json`, `log.csv`, `model.keras`.
        init: a `.keras` model of the same layers (any input size) to start from.

    Returns:
        The path of the trained model (moving-average weights where the config asks for them).

    Raises:
        InputError: bad data, a batch larger than the data set, an output folder of another config.
    """
    output = Path(output)
    skeleton, records = read_coco(*find_data_set(data))
    schedule = config.schedule
    steps = len(records) // schedule.batch_size
    if steps == 0:
        raise InputError(
            f"schedule.batch_size is larger than the data set of {len(records)} people; make it smaller. "
            f"Received: {schedule.batch_size}"
        )
    resumed = _prepare(output, config)
    if resumed:
        model = load_network(output / CHECKPOINT)
    else:
        model = build_model(config.model, skeleton)
        if init is not None:
            _initialise(model, load_network(init), init)
        model.compile(make_optimizer(schedule, steps), loss=HeatmapLoss(), jit_compile=False)
    print(
        f"{len(records)} people, {steps} steps an epoch, {model.count_params():,} weights"
        + (f", going on after epoch {resumed}" if resumed else ""),
        file=sys.stderr,
    )
    if resumed < schedule.epochs:
        batches = training_dataset(
            records,
            skeleton,
            HeatmapCodec(*model.output_shape[1:3]),
            config.model.image_size,
            schedule.batch_size,
            seed=schedule.seed,
            first_step=resumed * steps,
            augmentation=Augmentation(**vars(config.augmentation)),
        )
        model.fit(
            batches,
            epochs=schedule.epochs,
            initial_epoch=resumed,
            steps_per_epoch=steps,
            shuffle=False,  # the pipeline shuffles
            verbose=0,
            callbacks=[
                Checkpoint(output),
                keras.callbacks.CSVLogger(output / "log.csv", append=resumed > 0),
                keras.callbacks.TerminateOnNaN(),
                Progress(schedule.batch_size),
            ],
        )
    elif schedule.ema is not None:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    save_atomically(model, output / MODEL, include_optimizer=False)
    return output / MODEL


def _prepare(output: Path, config: Config) -> int:
    """Makes or checks the output folder; returns the epochs that are already done."""
    text = dump_config(config)
    stored = output / "config.yaml"
    try:
        output.mkdir(parents=True, exist_ok=True)
        if stored.exists() and stored.read_text() != text:
            raise InputError(f"{output}: holds a run of another config; choose a new folder or remove it")
        stored.write_text(text)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror}); choose another folder") from error
    progress = output / PROGRESS
    return json.loads(progress.read_text())["epochs"] if progress.exists() else 0


def _initialise(model, source, path) -> None:
    shapes = [tuple(w.shape) for w in source.weights]
    if shapes != [tuple(w.shape) for w in model.weights]:
        raise InputError(
            f"{path}: its weights do not fit the config's network; give a model of the same layers"
        )
    model.set_weights(source.get_weights())
