"""The `.tflite` files in the package, as they are."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from flpn_tf.presets import ALIASES, DEFAULT_MODEL, assets_folder
from flpn_tf.runtime.backends import open_backend
from flpn_tf.spec import PoseSpec

SHIPPED = sorted(assets_folder().glob("*.tflite"))
MEGABYTE = 1e6


def test_the_default_preset_ships_in_float16_and_int8():
    stems = {path.stem for path in SHIPPED}
    assert {f"{ALIASES[DEFAULT_MODEL]}_{to}" for to in ("float16", "int8")} <= stems


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_carries_its_name_and_fits(path):
    assert PoseSpec.read_from_tflite(path).name == path.stem
    assert path.stat().st_size < 25 * MEGABYTE


@pytest.mark.parametrize("path", [p for p in SHIPPED if p.stem.endswith("_int8")], ids=lambda path: path.stem)
def test_int8_holds_integers_only_and_takes_plain_pixels(path):
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(path), experimental_op_resolver_type=resolver)
    types = {np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
    assert types <= {"int8", "uint8", "int32"}
    assert interpreter.get_input_details()[0]["quantization"] == (1.0, 0)


def test_int8_and_float16_hold_the_same_weights_and_see_the_same():
    stem = ALIASES[DEFAULT_MODEL]
    half, integer = (open_backend(assets_folder() / f"{stem}_{to}.tflite") for to in ("float16", "int8"))
    assert half.spec.weights_sha256 == integer.spec.weights_sha256
    columns = np.linspace(0, 255, half.spec.input_width, dtype=np.uint8)
    crop = np.broadcast_to(columns[:, None], (1, half.spec.input_height, half.spec.input_width, 3))
    first, second = half.predict(crop), integer.predict(crop)
    assert np.linalg.norm(second - first) < 0.25 * np.linalg.norm(first)
