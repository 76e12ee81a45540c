"""What `flpn inspect` finds, beside the file's own tables read by their schema."""

import collections
import hashlib
import json

import dot_model
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from flpn_tf.errors import InputError
from flpn_tf.presets import assets_folder
from flpn_tf.runtime import inspect_command
from flpn_tf.runtime.inspect_model import LARGEST, inspect_tflite
from flpn_tf.spec import PoseSpec

SHIPPED = sorted(assets_folder().glob("*.tflite"))
OPERATIONS = {number: name for name, number in vars(schema.BuiltinOperator).items() if name[0] != "_"}
DTYPES = {number: name.lower() for name, number in vars(schema.TensorType).items() if name[0] != "_"}


def tables(path):
    """Names of the operations, and (dtype, shape, whether it is an activation) of the tensors."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph, codes = model.subgraphs[0], model.operatorCodes
    names = []
    for operation in graph.operators:
        code = codes[operation.opcodeIndex]
        names.append(OPERATIONS[max(code.builtinCode, code.deprecatedBuiltinCode)])
    dtypes = [DTYPES[tensor.type] for tensor in graph.tensors]
    made = {
        tensor
        for name, operation in zip(names, graph.operators, strict=True)
        for tensor in operation.outputs
        if name != "DEQUANTIZE" or dtypes[operation.inputs[0]] != "float16"  # a float16 file's weights
    }
    tensors = [(dtypes[i], tuple(tensor.shape), i in made) for i, tensor in enumerate(graph.tensors)]
    return names, tensors


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_models_agree_with_the_schema(path):
    names, tensors = tables(path)
    found = inspect_tflite(path)
    counts = collections.Counter()
    for row in found["operations"]:
        counts[row["name"]] += row["count"]
        assert 0 <= row["delegated"] <= row["count"]
    assert counts == collections.Counter(names)
    assert found["tensors"]["count"] == len(tensors)
    dtypes = collections.Counter(dtype for dtype, _, _ in tensors)
    assert found["tensors"]["dtypes"] == dtypes
    assert found["tensors"]["float"] == sum(n for dtype, n in dtypes.items() if dtype.startswith("float"))
    remaining = sum(found["delegate"]["remaining"].values())
    assert found["delegate"]["operations"] + remaining == len(names)
    assert sum(row["delegated"] for row in found["operations"]) == found["delegate"]["operations"]
    assert 0 < found["delegate"]["pieces"] <= found["delegate"]["operations"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_models_name_themselves(path):
    found, spec = inspect_tflite(path), PoseSpec.read_from_tflite(path)
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["weights_sha256"] == spec.weights_sha256
    assert found["pose_spec"] == spec.to_dict()
    assert found["labels"] == list(spec.skeleton.names)
    assert found["size_mb"] == path.stat().st_size / 1e6
    (image,) = found["inputs"]
    assert image["shape"] == [1, spec.input_height, spec.input_width, 3]
    (heatmaps,) = found["outputs"]
    assert heatmaps["dtype"] == spec.output_dtype
    assert (heatmaps["scale"] or 1) == pytest.approx(spec.output_scale)
    assert found["signatures"]["serving_default"] == {"inputs": ["image"], "outputs": ["heatmaps"]}
    json.dumps(found)


def test_what_the_delegate_leaves(dots_tflite):
    """The cast of the pixels; the padding and the convolution behind it are one piece."""
    found = inspect_tflite(dots_tflite)
    assert found["delegate"] == {
        "name": "XNNPACK", "operations": 2, "pieces": 1, "remaining": {"CAST": 1},
    }  # fmt: skip
    delegated = {row["name"]: (row["dtype"], row["delegated"]) for row in found["operations"]}
    assert delegated == {"CAST": ("float32", 0), "PAD": ("float32", 1), "CONV_2D": ("float32", 1)}


def test_the_largest_activations(dots_tflite):
    """Of the three operations' outputs; the kernel and the input are none."""
    reach = int(3 * dot_model.SIGMA * dot_model.STRIDE)
    height, width = dot_model.HEIGHT, dot_model.WIDTH
    expected = [
        [1, height + 2 * reach, width + 2 * reach, 3],
        [1, height, width, 3],
        [1, height // dot_model.STRIDE, width // dot_model.STRIDE, 3],
    ]
    largest = inspect_tflite(dots_tflite)["tensors"]["largest_activations"]
    assert [tensor["shape"] for tensor in largest] == expected
    assert [tensor["kb"] for tensor in largest] == [np.prod(shape) * 4 / 1e3 for shape in expected]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_largest_activations_of_shipped_models(path):
    itemsize = {"float32": 4, "int8": 1, "uint8": 1}
    sizes = [np.prod(shape) * itemsize[dtype] for dtype, shape, made in tables(path)[1] if made]
    found = [tensor["kb"] for tensor in inspect_tflite(path)["tensors"]["largest_activations"]]
    assert found == [size / 1e3 for size in sorted(sizes, reverse=True)[:LARGEST]]


def test_a_model_of_something_else_has_no_spec(bare_tflite):
    found = inspect_tflite(bare_tflite)
    assert (found["pose_spec"], found["labels"], found["weights_sha256"]) == (None, None, None)


def test_a_damaged_spec_is_told(tmp_path, dots_tflite):
    content = bytearray(dots_tflite.read_bytes())
    content[content.index(b'{\n "spec_version"')] ^= 1
    path = tmp_path / "damaged.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged.tflite"):
        inspect_tflite(path)


def test_damaged_labels_are_told(tmp_path, dots_tflite):
    content = bytearray(dots_tflite.read_bytes())
    labels = "".join(f"{name}\n" for name in PoseSpec.read_from_tflite(dots_tflite).skeleton.names).encode()
    content[content.rindex(labels)] ^= 1
    path = tmp_path / "damaged.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged.tflite is damaged: its labels.txt"):
        inspect_tflite(path)


@pytest.mark.parametrize("name", ["missing.tflite", "letter.tflite", "letter.keras", "folder"])
def test_what_cannot_be_inspected_is_refused(tmp_path, name):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        (path / "saved_model.pb").touch()
    elif name.startswith("letter"):
        path.write_text("a letter")
    with pytest.raises(InputError, match=name):
        inspect_command.run(str(path))


def test_text_and_json(tmp_path, capsys, dots_tflite):
    to = tmp_path / "found.json"
    inspect_command.run(str(dots_tflite), str(to))
    text = capsys.readouterr().out
    assert json.loads(to.read_text()) == inspect_tflite(dots_tflite)
    assert "XNNPACK: 2 of 3 operations, in 1 piece; not 1 CAST" in text
    assert "labels: left_red, right_green, blue" in text
    inspect_command.run(str(dots_tflite), "-")
    assert json.loads(capsys.readouterr().out) == json.loads(to.read_text())


def test_a_keras_file_shows_parameters_and_flops(tmp_path, capsys):
    from flpn_tf import FLPN
    from flpn_tf.complexity import measure

    network = FLPN(width=0.25, image_size=(64, 64))
    path = tmp_path / "small.keras"
    network.save(path)
    inspect_command.run(str(path), "-")
    found, size = json.loads(capsys.readouterr().out), measure(network)
    assert (found["params"], found["flops"]["macs"]) == (size.params, size.macs)
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found["labels"] == list(network.pose_spec().skeleton.names)
    inspect_command.run(str(path))
    assert f"{size.params:,} trainable" in capsys.readouterr().out
