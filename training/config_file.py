"""Configurations as YAML: read with overrides, checked key by key, written back whole."""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path

import yaml

from flpn_tf.errors import InputError
from flpn_tf.training.config import Config


def load_config(path, overrides: Sequence[str] = (), kind: type = Config):
    """Reads a YAML config; what it leaves out keeps its default.

    Args:
        path: of the YAML file.
        overrides: "section.key=value" or "key=value" texts that come before the file's values; the value
            is YAML.
        kind: the dataclass to make.

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
        config = _section(kind, {} if values is None else values, "")
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    return override_config(config, overrides)


def override_config(config, overrides: Sequence[str]):
    """The config with "section.key=value" or "key=value" texts in place of its values.

    All together must be valid.

    Raises:
        InputError: as `load_config`.
    """
    values = _plain(dataclasses.asdict(config))
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = name.strip().partition(".")
        held = values.get(section, {})
        misplaced = not isinstance(held, dict | None) if dot else isinstance(held, dict)
        if not equals or misplaced:
            raise InputError(
                f"an override is written section.key=value or, of no section, key=value. Received: {override}"
            )
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise InputError(f"{override}: is not YAML ({' '.join(str(error).split())})") from error
        values[section] = (values.get(section) or {}) | {key: value} if dot else value
    return _section(type(config), values, "")


def dump_config(config) -> str:
    """The whole config as YAML that `load_config` reads back to an equal one."""
    return yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False)


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value


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
    required = [f.name for f in dataclasses.fields(cls) if f.default is f.default_factory]
    if missing := [key for key in required if key not in values]:
        raise InputError(f"{prefix}{missing[0]} must be given")
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
