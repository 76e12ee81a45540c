"""One way to a TFLite interpreter, whichever package provides it."""

import importlib
import operator
import sys
from pathlib import Path

from flpn_tf.errors import InputError

# The same runtime under its three names, the lightest first: module, where the class is in it.
_PROVIDERS = (
    ("ai_edge_litert.interpreter", "Interpreter"),
    ("tflite_runtime.interpreter", "Interpreter"),
    ("tensorflow", "lite.Interpreter"),
)


def interpreter_class() -> type:
    """The `Interpreter` class of the first provider that can be imported.

    Raises:
        InputError: none is installed.
    """
    for module, attribute in _PROVIDERS:
        try:
            return operator.attrgetter(attribute)(importlib.import_module(module))
        except ImportError:
            continue
    raise InputError("No TFLite runtime is installed: run `pip install ai-edge-litert`")


def open_interpreter(path: str | Path, threads: int = 1):
    """An interpreter for a `.tflite` file with its tensors allocated.

    Raises:
        InputError: the runtime refuses the file.
    """
    try:
        interpreter = interpreter_class()(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"The TFLite runtime cannot open {path}: {reason}") from error
    return interpreter


def plain_interpreter(path: str | Path, threads: int = 1):
    """As `open_interpreter`, without XNNPACK, which would hide operations and tensors; not yet allocated.

    Raises:
        InputError: the runtime refuses the file.
    """
    Interpreter = interpreter_class()
    resolver = sys.modules[Interpreter.__module__].OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        return Interpreter(model_path=str(path), num_threads=threads, experimental_op_resolver_type=resolver)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"The TFLite runtime cannot open {path}: {reason}") from error
