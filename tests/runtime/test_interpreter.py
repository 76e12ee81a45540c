import sys
import types

import pytest

from flpn_tf.errors import InputError
from flpn_tf.runtime import interpreter


def provide(monkeypatch, **providers):
    """Makes exactly these packages importable: litert, tflite_runtime, tensorflow."""
    for package, module in (
        ("ai_edge_litert", "interpreter"),
        ("tflite_runtime", "interpreter"),
        ("tensorflow", "lite"),
    ):
        found = providers.get(package)
        if found is None:
            monkeypatch.setitem(sys.modules, package, None)
            monkeypatch.setitem(sys.modules, f"{package}.{module}", None)
            continue
        parent, child = types.ModuleType(package), types.ModuleType(f"{package}.{module}")
        child.Interpreter = found
        setattr(parent, module, child)
        monkeypatch.setitem(sys.modules, package, parent)
        monkeypatch.setitem(sys.modules, f"{package}.{module}", child)


class First:
    pass


class Second:
    pass


class Third:
    pass


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"ai_edge_litert": First, "tflite_runtime": Second, "tensorflow": Third}, First),
        ({"tflite_runtime": Second, "tensorflow": Third}, Second),
        ({"tensorflow": Third}, Third),
    ],
)
def test_the_chain_takes_the_first_that_imports(monkeypatch, installed, expected):
    provide(monkeypatch, **installed)
    assert interpreter.interpreter_class() is expected


def test_a_fake_tflite_runtime_is_really_driven(monkeypatch):
    calls = []

    class Fake:
        def __init__(self, model_path, num_threads):
            calls.append((model_path, num_threads))

        def allocate_tensors(self):
            calls.append("allocated")

    provide(monkeypatch, tflite_runtime=Fake)
    assert isinstance(interpreter.open_interpreter("m.tflite", threads=3), Fake)
    assert calls == [("m.tflite", 3), "allocated"]


def test_no_runtime_is_one_clear_error(monkeypatch):
    provide(monkeypatch)
    with pytest.raises(InputError, match="pip install ai-edge-litert"):
        interpreter.interpreter_class()


def test_the_installed_runtime_is_litert():
    assert interpreter.interpreter_class().__module__.startswith("ai_edge_litert")


def test_a_broken_model_is_refused_by_name(tmp_path):
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(100))
    with pytest.raises(InputError, match="broken.tflite"):
        interpreter.open_interpreter(path)
