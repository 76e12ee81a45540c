"""The training configuration: frozen dataclasses; `config_file` reads them. Needs no TensorFlow."""

from dataclasses import dataclass, field

from flpn_tf.data.augment import Augmentation
from flpn_tf.errors import InputError

NETWORKS = ("flpn", "simple_baseline", "lpn")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")
AUGMENT_ON = ("auto", "host", "device")
METRICS = ("AP", "PCK", "loss")
OPTIMIZERS = ("adam", "muon")


@dataclass(frozen=True)
class ModelConfig:
    """The network and its arguments, which it checks; the skeleton comes from the data.

    `network` is one of NETWORKS. `width`, `global_context` (null for the block's own), `stem`,
    `head_filters`, `head_grouped` and, for the smart block, `ratios` are FLPN's alone; `block` is that of
    FLPN and of SimpleBaseline, null for the network's own.
    """

    network: str = "flpn"
    depth: int = 50
    block: str | None = None
    ratios: tuple[int, ...] = (2, 8, 2, 2)
    image_size: tuple[int, ...] = (256, 192)
    width: float = 1.0
    head_filters: int = 256
    global_context: bool | None = None
    stem: str = "grouped"
    head_grouped: bool = True

    def __post_init__(self):
        _above_0(self, "width", "head_filters")
        _one_of(self, "network", NETWORKS)
        if self.network == "lpn" and self.block is not None:
            raise InputError(f"block must be null for the network lpn. Received: {self.block!r}")
        if len(self.image_size) != 2 or not min(self.image_size) > 0:
            raise InputError(f"image_size must be [height, width]. Received: {list(self.image_size)}")
        if not all(ratio > 0 for ratio in self.ratios):
            raise InputError(f"ratios must be above 0. Received: {list(self.ratios)}")


@dataclass(frozen=True)
class ScheduleConfig:
    """The optimiser and its learning rate.

    `optimizer` is one of OPTIMIZERS; "muon" orthogonalises the steps of the blocks' dense 1×1 kernels, all
    else is Adam's. `schedule` is "step" (×0.1 from each epoch of `drops` on; no warm-up) or "cosine" (to 0 at
    the end of the last epoch, behind `warmup_steps` of linear warm-up; no drops). `ema` is the momentum of
    the weights' moving average, or null. `clip_norm` bounds the norm of all gradients together, or null.
    `weight_decay` is decoupled (AdamW's), of convolution kernels only; 0 is none. `freeze_batch_norm` keeps
    gains, offsets and statistics of every batch norm as they are. `rounds` runs `epochs` epochs that often,
    each time from the last weights and the schedule's beginning (LPN's iterative training). `seed` decides
    the first weights, the order and the augmentation.
    """

    epochs: int = 140
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "step"
    drops: tuple[int, ...] = (90, 120)
    warmup_steps: int = 0
    ema: float | None = None
    clip_norm: float | None = None
    weight_decay: float = 0.0
    freeze_batch_norm: bool = False
    rounds: int = 1
    seed: int = 0

    def __post_init__(self):
        _above_0(self, "epochs", "batch_size", "learning_rate", "rounds")
        _one_of(self, "schedule", ("step", "cosine"))
        _one_of(self, "optimizer", OPTIMIZERS)
        if self.clip_norm is not None:
            _above_0(self, "clip_norm")
        if self.weight_decay < 0:
            raise InputError(f"weight_decay must be at least 0. Received: {self.weight_decay}")
        if list(self.drops) != sorted({drop for drop in self.drops if drop > 0}):
            raise InputError(f"drops must be rising epochs above 0. Received: {list(self.drops)}")
        if self.warmup_steps < 0 or (self.warmup_steps and self.schedule != "cosine"):
            raise InputError(
                f"warmup_steps is at least 0, and 0 for the step schedule. Received: {self.warmup_steps}"
            )
        if self.ema is not None and not 0 <= self.ema < 1:
            raise InputError(f"ema must be null, or at least 0 and below 1. Received: {self.ema}")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"seed must be at least 0 and below 2^31. Received: {self.seed}")


@dataclass(frozen=True)
class ComputeConfig:
    """How and where the steps are computed.

    Attributes:
        precision: a Keras policy of PRECISIONS; weights, losses and heatmaps stay float32.
        jit: compiles the training step with XLA, much slower with TensorFlow on CPUs; JAX always does.
        strategy: of STRATEGIES. "auto" takes what is there: the machines of TF_CONFIG, else all GPUs of this
            one, else one device. "mirrored" is data parallelism over this machine's devices. Each device
            normalises its batch norms by its own part of the batch under TensorFlow, by the whole under JAX.
        augment_on: "host" makes the batches by tf.data, "device" by JAX on its device, without TensorFlow;
            "auto" is "device" where JAX has an accelerator or TensorFlow is missing. The two draw different
            random numbers.
        checkpoint_steps: a checkpoint after so many steps, beside that of each epoch's end; 0 for only those.
    """

    precision: str = "float32"
    jit: bool = False
    strategy: str = "auto"
    augment_on: str = "auto"
    checkpoint_steps: int = 500

    def __post_init__(self):
        _one_of(self, "precision", PRECISIONS)
        _one_of(self, "strategy", STRATEGIES)
        _one_of(self, "augment_on", AUGMENT_ON)
        if self.checkpoint_steps < 0:
            raise InputError(f"checkpoint_steps must be at least 0. Received: {self.checkpoint_steps}")


@dataclass(frozen=True)
class ValidationConfig:
    """What is measured during training, with ground-truth boxes, without flip.

    Attributes:
        every: epochs between, also of TensorBoard's pictures; the last has both. 0 for never.
        metric: of METRICS, decides which weights are `best.keras`.
        holdout: this share of the training photos is kept out of training to measure on; 0 where the data
            come from elsewhere (`--validation`) or nothing is measured.
    """

    every: int = 1
    metric: str = "AP"
    holdout: float = 0.0

    def __post_init__(self):
        if self.every < 0:
            raise InputError(f"every must be at least 0. Received: {self.every}")
        _one_of(self, "metric", METRICS)
        if not 0 <= self.holdout < 1:
            raise InputError(f"holdout must be at least 0 and below 1. Received: {self.holdout}")


@dataclass(frozen=True)
class TeacherConfig:
    """Distillation: the squared error to another model's heatmaps joins the loss.

    Attributes:
        model: the teacher, a path (relative to the working folder), preset or alias, as `flpn evaluate`
            takes it.
        weight: of that error; the labels' has 1.
    """

    model: str
    weight: float = 1.0

    def __post_init__(self):
        _above_0(self, "weight")


@dataclass(frozen=True)
class Config:
    """One training run.

    `qat` is quantisation-aware: every kernel and output is rounded as the int8 `.tflite` will round it. It
    trains a trained network on; its batch norms are folded and keep their statistics.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    teacher: TeacherConfig | None = None
    qat: bool = False

    def __post_init__(self):
        if self.qat and self.compute.precision != "float32":
            raise InputError(f"qat needs compute.precision float32. Received: {self.compute.precision}")
        if self.qat and self.model.block == "mobilenetv3":
            raise InputError("qat needs another block than that with squeeze-excite. Received: mobilenetv3")


def _above_0(config, *names):
    for name in names:
        if not getattr(config, name) > 0:
            raise InputError(f"{name} must be above 0. Received: {getattr(config, name)}")


def _one_of(config, name, allowed):
    if getattr(config, name) not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}. Received: {getattr(config, name)!r}")
