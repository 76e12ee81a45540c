"""Quantisation-aware training by tensorflow-model-optimization, on a tf_keras twin of the network."""

import importlib.util
import io
import sys
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from flpn_tf.convert.tflite import CALIBRATION_CROPS, convert_file
from flpn_tf.data.pipeline import explain, training_dataset
from flpn_tf.data.sources import open_people
from flpn_tf.errors import InputError
from flpn_tf.runtime.files import write_atomically
from flpn_tf.runtime.folder_lock import lock
from flpn_tf.spec import ZIP_ERRORS
from flpn_tf.training.callbacks import Log, NotFinite, Progress
from flpn_tf.training.checkpoint import StopRequest, save_atomically
from flpn_tf.training.config import Config
from flpn_tf.training.fit import identity_of, with_measured
from flpn_tf.training.initialise import initialise
from flpn_tf.training.learning_rate import make_learning_rate
from flpn_tf.training.networks import build_model
from flpn_tf.training.provenance import record_session
from flpn_tf.training.run_config import refuse_other_run, write_config
from flpn_tf.training.session import MODEL

INT8_MODEL = "model_int8.tflite"
CHECKPOINT = "checkpoint_tfmot.npz"
_CALIBRATION_BATCH = 20


def train_tfmot(config: Config, data, output, init, images=None, split=None) -> Path:
    """Trains the weights of `init` on, as int8 will round them, and writes `OUTPUT/model_int8.tflite`.

    The batch norms are folded, so they do not change any more. The training is the config's, but without
    moving average (`schedule.ema`), validation and teacher; a held-out share (`validation.holdout`) is left
    out, not measured. Interrupted, the same call goes on from the last checkpoint: one at each epoch's end,
    every `compute.checkpoint_steps`, and at an interruption.

    Args:
        data, images, split: as `fit.train` takes them.
        output: folder for `config.yaml`, `checkpoint_tfmot.npz`, `log.csv`, `run.json` and the two models,
            spec and labels beside the `.tflite`.
        init: `.keras` model of the config's network, or a narrower FLPN.

    Returns:
        The path of `OUTPUT/model.keras`, the float network with the trained weights. The ranges of the
        activations are in `OUTPUT/model_int8.tflite` alone.

    Raises:
        InputError: tfmot or tf_keras is not installed, or what `fit.train` refuses, or a network with a block
            that the twin does not have, or a config that only the other backend can follow.
    """
    _needs_tfmot()
    _refuse(config, init)
    output = Path(output)
    people, _ = with_measured(config, open_people(data, images, split), (None, None, None))
    identity = f"{identity_of(people, None)}; by tfmot"
    refuse_other_run(output, identity, config)
    schedule = config.schedule
    steps = len(people) // schedule.batch_size
    if steps == 0:
        raise InputError(
            f"schedule.batch_size is larger than the data set of {len(people)} people; make it smaller. "
            f"Received: {schedule.batch_size}"
        )
    network = build_model(config.model, people.skeleton)
    initialise(network, init)
    crops = _crops(people, network)
    run = _Run(config, people, network, crops, output, steps)  # it may refuse the network, and leave nothing
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock(output)
        run.restore()
        write_config(output, identity, config)
        record_session(output, people, run.step // steps)
        run.train()
        return run.deliver(crops)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror or error})") from error


class _Run:
    """The quantised twin, its optimiser, and how far they have come."""

    def __init__(self, config: Config, people, network, crops, output: Path, steps: int):
        import tf_keras

        from flpn_tf.training.tf_keras_twin import Twin
        from flpn_tf.training.tfmot_quantizers import quantised

        schedule = config.schedule
        self.config, self.people, self.network, self.output = config, people, network, output
        self.steps = steps
        self.epochs = schedule.epochs * schedule.rounds
        self.rate = make_learning_rate(schedule, steps)
        _say("building the tf_keras twin and tfmot's rounding, which takes a minute")
        self.twin = Twin(network)
        self.model = quantised(self.twin, np.split(crops, len(crops) // _CALIBRATION_BATCH))
        options = {"learning_rate": schedule.learning_rate, "global_clipnorm": schedule.clip_norm}
        if schedule.weight_decay:
            optimizer = tf_keras.optimizers.AdamW(weight_decay=schedule.weight_decay, **options)
            others = [v for v in self.model.trainable_variables if "kernel" not in v.name]
            optimizer.exclude_from_weight_decay(var_list=others)
        else:
            optimizer = tf_keras.optimizers.Adam(**options)
        optimizer.build(self.model.trainable_variables)
        self.model.optimizer = optimizer
        self.step, self.loss = 0, 0.0

    @property
    def variables(self):
        """All that a checkpoint holds, in an order that is always the same."""
        return [*self.model.weights, *self.model.optimizer.variables]

    def train(self) -> None:
        """To the end of the schedule.

        Raises:
            KeyboardInterrupt: behind a checkpoint, where one was asked for.
        """
        schedule, optimizer = self.config.schedule, self.model.optimizer
        batches = iter(_batches(self.people, self.network, self.config, self.step))
        log, progress = (
            Log(self.output, self.step // self.steps),
            Progress(schedule.batch_size, self.steps, self.epochs),
        )
        log.set_model(self.model)
        progress.on_train_begin()
        update = make_update(self.model)
        _say(
            f"{len(self.people)} people, {self.steps} steps an epoch"
            + (f", going on after step {self.step}" if self.step else "")
        )
        with StopRequest() as stop:
            for epoch in range(self.step // self.steps, self.epochs):
                begun = self.step % self.steps
                progress.set_params({"steps": self.steps - begun})
                progress.on_epoch_begin(epoch)
                for batch in range(begun, self.steps):
                    rate = self.rate(self.step) if callable(self.rate) else self.rate
                    optimizer.learning_rate.assign(float(keras.ops.convert_to_numpy(rate)))
                    loss = self._update(update, batches, epoch)
                    self.loss += (loss - self.loss) / (batch + 1)
                    self.step += 1
                    progress.on_train_batch_end(batch - begun, {"loss": self.loss})
                    due = self.config.compute.checkpoint_steps
                    if stop.asked or batch + 1 == self.steps or (due and self.step % due == 0):
                        if batch + 1 == self.steps:
                            self._end_epoch(epoch, log, progress)
                        self._save()
                    if stop.asked:
                        raise KeyboardInterrupt

    def deliver(self, crops) -> Path:
        """Writes the two models; the twin is of no use any more."""
        from flpn_tf.training.tfmot_quantizers import freeze, trained_weights

        self.twin.write_back(trained_weights(self.model))
        freeze(self.model)
        convert_file(_Deployed(self.network, self.model), "int8", self.output / INT8_MODEL, crops)
        save_atomically(self.network, self.output / MODEL)
        _say(f"{self.output / INT8_MODEL}: int8 with the ranges of the training, which {MODEL} does not hold")
        return self.output / MODEL

    def restore(self) -> None:
        """Takes the place, weights, ranges and optimiser of the output's checkpoint, where there is one.

        Raises:
            InputError: it is damaged, or of another network.
        """
        path = self.output / CHECKPOINT
        if not path.exists():
            return
        try:
            with np.load(path) as stored:
                values = [stored[f"arr_{index}"] for index in range(len(stored.files) - 2)]
                step, loss = int(stored["step"]), float(stored["loss"])
            if [v.shape for v in values] != [tuple(v.shape) for v in self.variables]:
                raise ValueError("its weights are of other shapes")
        except (OSError, *ZIP_ERRORS) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{path}: is no checkpoint of this run ({reason}); remove {self.output} to begin again"
            ) from error
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
        self.step, self.loss = step, loss

    def _save(self) -> None:
        content = io.BytesIO()
        values = [variable.numpy() for variable in self.variables]
        if not all(np.isfinite(value).all() for value in values):
            raise NotFinite("a weight", f"step {self.step}", self.step - 1)
        np.savez(content, *values, step=self.step, loss=self.loss)
        write_atomically(self.output / CHECKPOINT, content.getvalue())

    def _update(self, update, batches, epoch) -> float:
        try:
            loss = float(update(*next(batches)))
        except tf.errors.OpError as error:
            schedule = self.config.schedule
            failure = explain(self.people, schedule.batch_size, schedule.seed, self.step)
            if failure is None:
                raise
            raise failure from error
        if not np.isfinite(loss):
            raise NotFinite("the loss", f"step {self.step % self.steps + 1} of epoch {epoch + 1}", self.step)
        return loss

    def _end_epoch(self, epoch, log, progress):
        logs = {"loss": self.loss}
        log.on_epoch_end(epoch, logs)
        progress.on_epoch_end(epoch, logs)
        self.loss = 0.0


def make_update(model):
    """(crops, heatmaps, weights) → the loss before an update of a tf_keras model by its optimiser.

    The loss is that of `HeatmapLoss` with the joints' weights.
    """

    @tf.function
    def update(crops, heatmaps, weights):
        with tf.GradientTape() as tape:
            maps = model(tf.cast(crops, tf.float32), training=True)
            errors = 0.5 * tf.reduce_mean(tf.square(maps - heatmaps), axis=(1, 2))
            loss = tf.reduce_mean(errors * weights)
        variables = model.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return update


class _Deployed:
    """What `convert_file` needs of a network, computed by the frozen twin."""

    qat = False  # no ranges of ours, tfmot's are in the graph

    def __init__(self, network, model):
        self.image_size = network.image_size
        self.pose_spec = network.pose_spec
        self._model = model

    def __call__(self, images, training):
        return self._model(images, training=training)


def _needs_tfmot() -> None:
    for package in ("tf_keras", "tensorflow_model_optimization"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"--qat-backend tfmot needs {package}; install it with: pip install 'flpn-tf[qat-tfmot]'"
            )
    if (backend := keras.backend.backend()) != "tensorflow":
        raise InputError(
            f"--qat-backend tfmot needs Keras's TensorFlow backend. Received: KERAS_BACKEND={backend}"
        )


def _refuse(config: Config, init) -> None:
    """Refuses what this backend does not do; says what it leaves out."""
    if init is None:
        raise InputError("qat trains a trained network on; give it with --init")
    compute = config.compute
    if config.teacher is not None:
        raise InputError("--qat-backend tfmot has no teacher; remove it from the config")
    for name, allowed in (("precision", ("float32",)), ("strategy", ("auto", "one_device"))):
        if getattr(compute, name) not in allowed:
            raise InputError(
                f"--qat-backend tfmot needs compute.{name} {allowed[-1]}. Received: {getattr(compute, name)}"
            )
    if compute.augment_on == "device":
        raise InputError("--qat-backend tfmot needs compute.augment_on host. Received: device")
    if config.schedule.optimizer != "adam":
        raise InputError(
            f"--qat-backend tfmot needs schedule.optimizer adam. Received: {config.schedule.optimizer}"
        )
    if config.schedule.ema is not None:
        _say("tfmot keeps no moving average: schedule.ema has no part in this run")


def _batches(people, network, config: Config, first_step: int) -> tf.data.Dataset:
    schedule = config.schedule
    return training_dataset(
        people,
        network.codec,
        network.image_size,
        schedule.batch_size,
        seed=schedule.seed,
        first_step=first_step,
        augmentation=config.augmentation,
    )


def _crops(people, network) -> np.ndarray:
    """(N, H, W, 3) uint8 crops to calibrate with, as inference sees them; of few people some twice."""
    batches = training_dataset(people, network.codec, network.image_size, _CALIBRATION_BATCH)
    count = CALIBRATION_CROPS // _CALIBRATION_BATCH
    try:
        return np.concatenate([crops.numpy() for crops, _, _ in islice(batches, count)])
    except tf.errors.OpError as error:
        failure = explain(people, _CALIBRATION_BATCH)
        if failure is None:
            raise
        raise failure from error


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
