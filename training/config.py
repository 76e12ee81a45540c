"""The training configuration: frozen dataclasses read from YAML."""

import dataclasses
import difflib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from flpn_tf.errors import InputError


@dataclass(frozen=True)
class ModelConfig:
    """Arguments of `flpn_tf.models.FLPN`; the skeleton comes from the data."""

    depth: int = 50
    ratios: tuple[int, ...] = (2, 8, 2, 2)
    image_size: tuple[int, ...] = (256, 192)
    width: float = 1.0
    head_filters: int = 256


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges of the random crop affine; the paper's for COCO."""

    rotation: float = 40.0
    scale: float = 0.3
    flip: float = 0.5


@dataclass(frozen=True)
class ScheduleConfig:
    """The optimiser and its learning rate.

    `schedule` is "step" (×0.1 at the epochs of `drops`) or "cosine" (to 0 at the last epoch), both
    after a linear warm-up. `ema` is the momentum of the weights' moving average, or null.
    """

    epochs: int = 140
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "step"
    drops: tuple[int, ...] = (90, 120)
    warmup_steps: int = 0
    ema: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Config:
    """One training run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def __post_init__(self):
        schedule = self.schedule
        if schedule.schedule not in ("step", "cosine"):
            raise InputError(f"schedule.schedule must be step or cosine. Received: {schedule.schedule!r}")
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(schedule, name) > 0:
                raise InputError(f"schedule.{name} must be above 0. Received: {getattr(schedule, name)}")


def _value(annotation, value, where):
    """`value` as the field's type; whole floats do for ints and ints for floats, nothing else."""
    if dataclasses.is_dataclass(annotation):
        return _section(annotation, value, where)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is types.UnionType:
        if value is None:
            return None
        annotation = arguments[0]
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_value(arguments[0], v, where) for v in value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is float and number:
        return float(value)
    if annotation is int and number and float(value).is_integer():
        return int(value)
    if annotation is str and isinstance(value, str):
        return value
    raise InputError(f"{where} must be {getattr(annotation, '__name__', annotation)}. Received: {value!r}")


def _section(cls, values, where):
    if not isinstance(values, dict):
        raise InputError(f"{where or 'a config'} must be a mapping of keys to values. Received: {values!r}")
    fields = typing.get_type_hints(cls)
    prefix = f"{where}." if where else ""
    for key in values:
        if key not in fields:
            nearest = difflib.get_close_matches(str(key), fields, n=1)
            hint = f", did you mean {nearest[0]}?" if nearest else f"; there are {', '.join(fields)}"
            raise InputError(f"unknown key {prefix}{key}{hint}")
    return cls(**{key: _value(fields[key], value, f"{prefix}{key}") for key, value in values.items()})


def load_config(path) -> Config:
    """Reads a YAML config.

    Raises:
        InputError: unreadable, not YAML, an unknown key (the nearest one is suggested), a wrong type.
    """
    source = Path(path)
    try:
        values = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{source}: is not YAML ({' '.join(str(error).split())})") from error
    try:
        return _section(Config, values or {}, "")
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def dump_config(config: Config) -> str:
    """The whole config as YAML that `load_config` reads back to an equal one."""
    return yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False)


def _plain(value):
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value
