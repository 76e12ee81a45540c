"""`flpn pretrain`: from folders of images to a classifier whose backbone `flpn train --init` takes."""

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import keras
import tensorflow as tf

from flpn_tf.data.class_folders import (
    ClassImages,
    ImageAugmentation,
    read_class_folders,
    training_batches,
    unreadable,
    validation_batches,
)
from flpn_tf.errors import InputError
from flpn_tf.models.classifier import Classifier
from flpn_tf.training import session
from flpn_tf.training.batch_statistics import settler
from flpn_tf.training.config import ComputeConfig, ModelConfig, ScheduleConfig
from flpn_tf.training.config_file import dump_config
from flpn_tf.training.networks import build_model
from flpn_tf.training.provenance import record_session
from flpn_tf.training.run_config import refuse_other_run, write_config
from flpn_tf.training.snapshot import Snapshot
from flpn_tf.training.strategy import Strategy, open_strategy


@dataclass(frozen=True)
class PretrainConfig:
    """One pre-training run; `model.image_size` is that of the classifier, multiples of 32."""

    model: ModelConfig = field(default_factory=ModelConfig)
    augmentation: ImageAugmentation = field(default_factory=ImageAugmentation)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)


def pretrain(config: PretrainConfig, data, output) -> Path:
    """Trains a classifier on a folder of images per class and writes `OUTPUT/model.keras`.

    Interrupted at any point, the same call goes on from the last checkpoint, as `fit.train` does.

    Args:
        data: as `read_class_folders` takes it; the images of `val/`, where there are some, are measured on
            after each epoch.
        output: folder for `config.yaml`, `checkpoint.keras`, `run.json`, `log.csv` and, at the end,
            `model.keras`, a `Classifier`. The log's `accuracy` (of the epoch's steps since the run went on)
            and `val_accuracy` are top-1, 0–1.

    Returns:
        The path of the trained classifier (moving-average weights where the config asks for them).

    Raises:
        InputError: bad data, an image that cannot be read, a config that fits neither data nor network nor
            machine, an output folder of another run or that cannot be written, a loss that is not finite.
            A checkpoint, once written, survives each of these.
    """
    if config.compute.augment_on == "device":
        raise InputError(
            "compute.augment_on must be auto or host: tf.data makes the batches of images. Received: device"
        )
    strategy = open_strategy(config.compute.strategy)
    images, measured = read_class_folders(data)
    output = Path(output)
    identity = f"# {len(images)} images, sha256 of their names {images.sha256}"
    if measured is not None:
        identity += f"; measured on {len(measured)}, {measured.sha256}"
    refuse_other_run(output, identity, config)
    strategy.agree(identity, dump_config(config))

    def begin(epochs_done):
        write_config(output, identity, config)
        record_session(output, images, epochs_done, "images")

    job = _Classification(config, strategy, images, measured).job()
    return session.run(job, strategy, config.schedule, config.compute, output, begin)


class _Classification:
    """What `session.run` needs to train a classifier on images."""

    def __init__(
        self, config: PretrainConfig, strategy: Strategy, images: ClassImages, measured: ClassImages | None
    ):
        self.config = config
        self.strategy = strategy
        self.images = images
        self.measured = measured

    def job(self) -> session.Job:
        return session.Job(
            "images",
            len(self.images),
            self.build,
            keras.losses.SparseCategoricalCrossentropy(),
            self.batches,
            self.explain,
            self.callbacks,
            # By name, so that Keras makes it under the strategy.
            metrics=("accuracy",),
        )

    def build(self):
        return Classifier(build_model(self.config.model, None), self.images.classes, name="classifier")

    def batches(self, first_step: int, whole: bool = False):
        config = self.config
        return training_batches(
            self.images,
            config.model.image_size,
            config.schedule.batch_size,
            config.augmentation,
            config.schedule.seed,
            first_step,
            (0, 1) if whole else self.strategy.shard,
        )

    def explain(self, error: Exception, step: int) -> InputError | None:
        if not isinstance(error, tf.errors.OpError):
            return None
        schedule = self.config.schedule
        return unreadable(self.images, schedule.batch_size, schedule.seed, step)

    def callbacks(self):
        if self.measured is None:
            return []
        schedule = self.config.schedule
        settle = settler(schedule, len(self.images), self.batches)
        return [TopOne(self.measured, self.config.model.image_size, schedule.batch_size, settle)]


class TopOne(keras.callbacks.Callback):
    """Adds `val_accuracy`, the share of images whose class is the likeliest one, to each epoch's `logs`.

    The moving average of the weights is what is measured, where the optimiser has one.

    Args:
        images: whose classes are those of the model, or some of them.
        image_size: (H, W) of the model.
        batch_size: of the predictions.
        settle: as of `Snapshot`.

    Raises:
        InputError: while it measures, an image that cannot be read.
    """

    def __init__(self, images: ClassImages, image_size: tuple[int, int], batch_size: int, settle=None):
        super().__init__()
        self.images = images
        self.settle = settle
        self.batch_size = batch_size
        self.batches = validation_batches(images, image_size, batch_size)

    def on_train_begin(self, logs=None):
        self._snapshot = Snapshot(self.model, self.batch_size, self.settle)

    def on_epoch_end(self, epoch, logs=None):
        begun = time.monotonic()
        self._snapshot.update(self.model)
        right = 0
        try:
            for crops, labels in self.batches.as_numpy_iterator():
                right += int((self._snapshot.predict(crops).argmax(axis=1) == labels).sum())
        except tf.errors.OpError as error:
            failure = unreadable(self.images)
            if failure is None:
                raise
            raise failure from error
        logs["val_accuracy"] = right / len(self.images)
        print(
            f"epoch {epoch + 1} validation: accuracy {logs['val_accuracy']:.4f}, "
            f"{len(self.images)} images in {time.monotonic() - begun:.0f} s",
            file=sys.stderr,
            flush=True,
        )
