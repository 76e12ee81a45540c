"""`flpn train`: from a config and a data set to a trained `.keras`."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import keras

from flpn_tf.codec import HeatmapCodec
from flpn_tf.data.holdout import hold_out
from flpn_tf.data.manifest import PreparedPeople
from flpn_tf.data.records import People
from flpn_tf.data.sources import open_people, read_people
from flpn_tf.errors import InputError
from flpn_tf.layers.fake_quant import fake_quantised
from flpn_tf.presets import resolve_model
from flpn_tf.runtime.files import sha256_of
from flpn_tf.training import session
from flpn_tf.training.batch_statistics import settler
from flpn_tf.training.checkpoint import CHECKPOINT
from flpn_tf.training.config import Config, TeacherConfig
from flpn_tf.training.config_file import dump_config
from flpn_tf.training.initialise import initialise
from flpn_tf.training.loss import HeatmapLoss
from flpn_tf.training.networks import build_model
from flpn_tf.training.provenance import record_session
from flpn_tf.training.run_config import refuse_other_run, write_config
from flpn_tf.training.strategy import Strategy, accelerators, open_strategy


def train(
    config: Config,
    data,
    output,
    init=None,
    images=None,
    split=None,
    validation=None,
    validation_images=None,
    validation_split=None,
) -> Path:
    """Trains on the people of a data set and writes `OUTPUT/model.keras`.

    Interrupted at any point, the same call goes on from the last checkpoint, with its weights, optimiser and
    place in the data's order; on a finished run it writes the same model again.

    Args:
        data, images, split: a folder that `flpn data prepare` made, or what `read_people` takes.
        output: folder for `config.yaml`, `checkpoint.keras`, `log.csv`, `run.json`, TensorBoard's files,
            `best.keras` where there is a validation, and, at the end, `model.keras`.
        init: a `.keras` model of the same layers to start from, of any input size and joints, a
            narrower FLPN, or a classifier that `pretrain` made: see `initialise`. It has no part in a run
            that goes on.
        validation, validation_images, validation_split: a data set to measure on, as `read_people` takes it.

    Returns:
        The path of the trained model (moving-average weights where the config asks for them).

    Raises:
        InputError: bad data, a photo that cannot be decoded, a config that fits neither data nor network nor
            machine, an output folder of another run or that cannot be written, a loss that is not finite.
            A checkpoint, once written, survives each of these.
    """
    strategy = open_strategy(config.compute.strategy)
    config = resolved(config)
    people = open_people(data, images, split)
    people, measured = with_measured(config, people, (validation, validation_images, validation_split))
    output = Path(output)
    if config.qat and init is None and not (output / CHECKPOINT).exists():
        raise InputError("qat trains a trained network on; give it with --init")
    identity = identity_of(people, measured, config.teacher)
    refuse_other_run(output, identity, config)
    strategy.agree(identity, dump_config(config))
    job = _Pose(config, strategy, people, measured, output, init).job()

    def begin(epochs_done):
        write_config(output, identity, config)
        record_session(output, people, epochs_done)

    return session.run(job, strategy, config.schedule, config.compute, output, begin)


class _Pose:
    """What `session.run` needs to train a pose network on people."""

    def __init__(self, config: Config, strategy: Strategy, people, measured, output: Path, init):
        self.config = config
        self.strategy = strategy
        self.people = people
        self.measured = measured
        self.output = output
        self.init = init
        self.codec = HeatmapCodec(*(side // HeatmapCodec.stride for side in config.model.image_size))
        self.teacher = None
        if config.teacher is not None:
            from flpn_tf.training.teacher import Teacher

            self.teacher = Teacher(
                config.teacher.model,
                config.teacher.weight,
                config.model.image_size,
                people.skeleton,
                self.codec,
            )

    def job(self) -> session.Job:
        return session.Job(
            "people", len(self.people), self.build, HeatmapLoss(), self.batches, self.explain, self.callbacks
        )

    def build(self):
        with fake_quantised(self.config.qat):
            model = build_model(self.config.model, self.people.skeleton)
        if self.init is None:
            return model
        if not (self.output / CHECKPOINT).exists():
            initialise(model, self.init)
        elif self.strategy.is_chief:
            print(f"{self.init}: has no part in a run that goes on", file=sys.stderr, flush=True)
        self.init = None  # said once
        return model

    def batches(self, first_step: int, whole: bool = False):
        options = {
            "seed": self.config.schedule.seed,
            "first_step": first_step,
            "augmentation": self.config.augmentation,
        }
        on_device = self.config.compute.augment_on == "device"
        if not on_device:
            options["shard"] = (0, 1) if whole else self.strategy.shard
        batches = self.samples(self.people, **options)
        if self.teacher is None:
            return batches
        return self.teacher.batches(batches) if on_device else self.teacher.dataset(batches)

    def plain_batches(self, people: People):
        """One pass over people as they are, in order."""
        return self.samples(people, shuffle=False, repeat=False, drop_remainder=False)

    def samples(self, people, **options):
        """Batches of people by `training_dataset` or `device_batches`, whose other arguments these are."""
        if self.config.compute.augment_on == "device":
            from flpn_tf.data.device_samples import device_batches as make
        else:
            from flpn_tf.data.pipeline import training_dataset as make

        return make(
            people, self.codec, self.config.model.image_size, self.config.schedule.batch_size, **options
        )

    def callbacks(self):
        from flpn_tf.training.summaries import Summaries

        schedule, validation = self.config.schedule, self.config.validation
        people = self.people if self.measured is None else self.measured
        size, epochs = schedule.batch_size, schedule.epochs * schedule.rounds

        def batches():
            return self.plain_batches(people)

        callbacks, settle = [], settler(schedule, len(self.people), self.batches)
        if self.measured is not None:
            from flpn_tf.training.validation import Validation

            # Its own data set names a photo that cannot be read; `device_batches` does so by themselves.
            own = None if self.config.compute.augment_on == "host" else batches
            measure = Validation(
                people, self.output, validation.every, validation.metric, size, own, epochs, settle
            )
            callbacks, batches = [measure], measure.batches
        pictured = batches if validation.every else None
        return [*callbacks, Summaries(self.output, size, validation.every, pictured, people.skeleton, epochs)]

    def explain(self, error: Exception, step: int) -> InputError | None:
        tf = sys.modules.get("tensorflow")
        if tf is None or not isinstance(error, tf.errors.OpError):
            return None
        from flpn_tf.data.pipeline import explain

        return explain(self.people, self.config.schedule.batch_size, self.config.schedule.seed, step)


def resolved(config: Config) -> Config:
    """With `augment_on` decided.

    Raises:
        InputError: Keras's backend cannot do what is asked for.
    """
    backend, chosen = keras.backend.backend(), config.compute.augment_on
    if chosen == "auto":
        without_tensorflow = importlib.util.find_spec("tensorflow") is None
        chosen = "device" if backend == "jax" and (accelerators() or without_tensorflow) else "host"
    if chosen == "device" and backend != "jax":
        raise InputError(
            f"compute.augment_on device needs Keras's JAX backend; set KERAS_BACKEND=jax. Received: {backend}"
        )
    return dataclasses.replace(config, compute=dataclasses.replace(config.compute, augment_on=chosen))


def with_measured(config: Config, people, validation) -> tuple[People | PreparedPeople, People | None]:
    """(to train on, to measure on or None)."""
    share, (data, images, split) = config.validation.holdout, validation
    if data is None and (images, split) != (None, None):
        raise InputError(f"the validation's images and split need its data. Received: {images or split}")
    if data is not None and share:
        raise InputError(f"give either --validation or validation.holdout. Received: {data} and {share}")
    if (data is not None or share) and not config.validation.every:
        raise InputError("validation.every is 0, so nothing would be measured; give it a number of epochs")
    if data is not None:
        return people, read_people(data, images, split)
    if not share:
        return people, None
    if isinstance(people, PreparedPeople):
        raise InputError(
            "validation.holdout needs the annotations and photos, not prepared data; prepare the parts by "
            f"themselves and give the one to measure on as --validation. Received: {share}"
        )
    return hold_out(people, share)


def identity_of(people, measured, teacher: TeacherConfig | None = None) -> str:
    """The line by which a run knows its data and its teacher again."""
    of = "the prepared data" if isinstance(people, PreparedPeople) else people.source.name
    text = f"# {len(people)} people, sha256 of {of} {people.sha256}"
    if measured is not None:
        text += f"; measured on {len(measured)}, {measured.source.name} {measured.sha256}"
    if teacher is not None:
        text += f"; taught by {sha256_of(resolve_model(teacher.model))}"
    return text
