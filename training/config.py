"""The training configuration: frozen dataclasses read from YAML. Needs no TensorFlow."""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from flpn_tf.data.augment import Augmentation
from flpn_tf.errors import InputError

NETWORKS = ("flpn", "simple_baseline", "lpn")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class ModelConfig:
    """The network and its arguments, which it checks; the skeleton comes from the data.

    `network` is one of NETWORKS. `width`, `head_filters` and, for the smart block, `ratios` are FLPN's
    alone; `block` is that of FLPN and of SimpleBaseline, null for the network's own.
    """

    network: str = "flpn"
    depth: int = 50
    block: str | None = None
    ratios: tuple[int, ...] = (2, 8, 2, 2)
    image_size: tuple[int, ...] = (256, 192)
    width: float = 1.0
    head_filters: int = 256

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

    `schedule` is "step" (×0.1 from each epoch of `drops` on; no warm-up) or "cosine" (to 0 at the end of
    the last epoch, behind `warmup_steps` of linear warm-up; no drops). `ema` is the momentum of the
    weights' moving average, or null. `clip_norm` bounds the norm of all gradients together, or null.
    `weight_decay` is AdamW's, of convolution kernels only; 0 is Adam. `seed` decides the first weights,
    the order and the augmentation.
    """

    epochs: int = 140
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "step"
    drops: tuple[int, ...] = (90, 120)
    warmup_steps: int = 0
    ema: float | None = None
    clip_norm: float | None = None
    weight_decay: float = 0.0
    seed: int = 0

    def __post_init__(self):
        _above_0(self, "epochs", "batch_size", "learning_rate")
        _one_of(self, "schedule", ("step", "cosine"))
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
    """How the steps are computed; it has no part in what is learnt, but for rounding.

    `precision` is a Keras policy of PRECISIONS: weights, losses and heatmaps stay float32. `jit` compiles the
    training step with XLA.
    """

    precision: str = "float32"
    jit: bool = False

    def __post_init__(self):
        _one_of(self, "precision", PRECISIONS)


@dataclass(frozen=True)
class Config:
    """One training run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)


def _above_0(config, *names):
    for name in names:
        if not getattr(config, name) > 0:
            raise InputError(f"{name} must be above 0. Received: {getattr(config, name)}")


def _one_of(config, name, allowed):
    if getattr(config, name) not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}. Received: {getattr(config, name)!r}")


def load_config(path, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML config; what it leaves out keeps its default.

    Args:
        path: of the YAML file.
        overrides: "section.key=value" texts that come before the file's values; the value is YAML.

    Raises:
        InputError: unreadable, not YAML, an unknown key (the nearest one is suggested), a wrong type, a
            value out of its range; the message names the file and the key.
    """
    source = Path(path)
    try:
        values = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{source}: is not YAML ({' '.join(str(error).split())})") from error
    try:
        config = _section(Config, {} if values is None else values, "")
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    return override_config(config, overrides)


def override_config(config: Config, overrides: Sequence[str]) -> Config:
    """The config with "section.key=value" texts in place of its values; all together must be valid.

    Raises:
        InputError: as `load_config`.
    """
    values = _plain(dataclasses.asdict(config))
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = name.strip().partition(".")
        if not equals or not dot:
            raise InputError(f"an override is written section.key=value. Received: {override}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"{override}: is not YAML ({' '.join(str(error).split())})") from error
        values[section] = values.get(section, {}) | {key: value}
    return _section(Config, values, "")


def dump_config(config: Config) -> str:
    """The whole config as YAML that `load_config` reads back to an equal one."""
    return yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False)


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _section(cls, values, where):
    if not isinstance(values, dict):
        raise InputError(f"{where or 'a config'} must be a mapping of keys to values. Received: {values!r}")
    fields = typing.get_type_hints(cls)
    prefix = f"{where}." if where else ""
    for key in values:
        if key not in fields:
            nearest = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(fields)}"
            raise InputError(f"unknown key {prefix}{key}; {hint}")
    arguments = {key: _value(fields[key], value, f"{prefix}{key}") for key, value in values.items()}
    try:
        return cls(**arguments)
    except InputError as error:
        raise InputError(f"{prefix}{error}") from error


def _value(annotation, value, where):
    """`value` as the field's type; whole floats do for ints and ints for floats, nothing else."""
    if dataclasses.is_dataclass(annotation):
        return _section(annotation, value, where)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is types.UnionType:
        return None if value is None else _value(arguments[0], value, where)
    if origin is tuple:
        if isinstance(value, list):
            return tuple(_value(arguments[0], v, f"{where}[{place}]") for place, v in enumerate(value))
    elif annotation is bool:
        if isinstance(value, bool):
            return value
    elif annotation is str:
        if isinstance(value, str):
            return value
    elif _is_number(value, annotation):
        number = float(value)
        if annotation is float or number.is_integer():
            return annotation(number)
    kinds = {str: "a text", int: "a whole number", float: "a finite number", bool: "true or false"}
    expected = kinds.get(annotation, "a list")
    raise InputError(f"{where} must be {expected}. Received: {value!r}")


def _is_number(value, annotation) -> bool:
    if isinstance(value, str) and annotation is float:
        # YAML 1.1, which PyYAML reads, wants 1.0e-3 and takes 1e-3 for a text.
        return re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d{1,2}", value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63
