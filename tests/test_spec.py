import copy
import io
import json
import zipfile
from pathlib import Path

import jsonschema
import pytest

from flpn_tf.codec import HeatmapCodec
from flpn_tf.errors import InputError
from flpn_tf.presets import assets_folder
from flpn_tf.skeleton import COCO_17
from flpn_tf.spec import PoseSpec

TFLITE = b"\x1c\x00\x00\x00TFL3" + bytes(range(256))


@pytest.fixture
def spec():
    return PoseSpec(
        name="flpn50_people_256x192_int8",
        architecture={"depth": 50, "ratios": [2, 8, 2, 2]},
        input_height=256,
        input_width=192,
        output_height=64,
        output_width=48,
        skeleton=COCO_17,
        mean=(123.7, 116.3, 103.5),
        std=(58.4, 57.1, 57.4),
        output_dtype="uint8",
        output_scale=1 / 256,
        output_zero_point=3,
        weights_sha256="0123456789abcdef" * 4,
    )


@pytest.fixture(scope="module")
def schema():
    schema = json.loads((assets_folder() / "pose_spec.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_json_round_trip(spec):
    assert PoseSpec.from_json(spec.to_json()) == spec
    assert PoseSpec.from_json(spec.to_json().encode()) == spec


def test_codec_and_crop_follow_the_spec(spec):
    assert spec.codec == HeatmapCodec(64, 48, 4, 2.0, decode_rule="dark")
    assert spec.to_dict()["crop"]["aspect"] == 0.75


def test_the_json_has_exactly_the_published_fields(spec):
    values = spec.to_dict()
    assert {key: set(values[key]) for key in ("input", "crop", "output", "decode", "skeleton")} == {
        "input": {"name", "height", "width", "layout", "color", "dtype", "range"}
        | {"normalised_inside", "mean", "std"},
        "crop": {"aspect", "padding", "interpolation", "border"},
        "output": {"name", "height", "width", "dtype", "scale", "zero_point"},
        "decode": {"rule", "stride", "sigma"},
        "skeleton": {"names", "flip_pairs", "limbs", "sigmas"},
    }
    assert values["spec_version"] == 1


def test_tflite_round_trip_keeps_the_model_bytes(spec, tmp_path):
    path = tmp_path / "model.tflite"
    content = spec.append_to_tflite(TFLITE)
    path.write_bytes(content)
    assert content.startswith(TFLITE)
    assert PoseSpec.read_from_tflite(path) == spec
    assert spec.append_to_tflite(TFLITE) == content, "the same spec must give the same bytes"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(COCO_17.names)


def test_appending_twice_is_refused(spec):
    with pytest.raises(InputError, match="already"):
        spec.append_to_tflite(spec.append_to_tflite(TFLITE))


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "Cannot read"), (b"", "not a TFLite"), (b"hello, world", "not a TFLite"), (TFLITE, "carries no")],
)
def test_a_file_without_spec_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "model.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        PoseSpec.read_from_tflite(path)
    assert str(path) in str(caught.value)


# Where in the json, what to put there; both readers must agree on each.
GOOD = [
    ("input.dtype", "float32"),
    ("weights_sha256", None),
    ("architecture", {}),
    ("output.zero_point", -128),
    ("output.scale", 1),
    ("decode.rule", "quarter"),
    ("decode.sigma", 1.5),
    ("decode.sigma", 64),
    ("crop.padding", 0.1),
    ("crop.padding", 10),
    ("skeleton.flip_pairs", []),
    ("skeleton.limbs", []),
]


class ABSENT:
    """Stands for a key that is not there; a class, so that every process gives its tests the same names."""


BAD = [
    ("spec_version", 2),
    ("spec_version", "1"),
    ("spec_version", True),
    ("spec_version", ABSENT),
    ("name", ""),
    ("name", 7),
    ("name", ABSENT),
    ("architecture", []),
    ("architecture", ABSENT),
    ("input", "large"),
    ("input", ABSENT),
    ("input.height", 0),
    ("input.height", True),
    ("input.height", 256.5),
    ("input.width", "192"),
    ("input.layout", "NCHW"),
    ("input.color", "BGR"),
    ("input.dtype", "float16"),
    ("input.range", [0, 1]),
    ("input.range", [False, 255]),
    ("input.normalised_inside", False),
    ("input.normalised_inside", 1),
    ("input.mean", [0, 0]),
    ("input.std", [1, 1, 0]),
    ("input.std", ABSENT),
    ("input.scale", 3),
    ("crop.padding", 0),
    ("crop.padding", 1e-300),
    ("crop.padding", 10.5),
    ("crop.interpolation", "nearest"),
    ("crop.border", 128),
    ("crop.border", False),
    ("output.name", "out"),
    ("output.dtype", "float16"),
    ("output.scale", 0),
    ("output.scale", None),
    ("output.zero_point", 0.5),
    ("decode.rule", "udp"),
    ("decode.stride", 0),
    ("decode.sigma", "2"),
    ("decode.sigma", 1e6),
    ("decode.sigma", 1e308),
    ("decode.sigma", 1e-300),
    ("decode.sigma", ABSENT),
    ("skeleton.names", []),
    ("skeleton.names", ["a", "a"]),
    ("skeleton.names", "nose"),
    ("skeleton.sigmas", [-1.0] * 17),
    ("skeleton.limbs", [[0]]),
    ("skeleton.limbs", [[0, 1.5]]),
    ("skeleton.limbs", [[0, "1"]]),
    ("skeleton.flip_pairs", [[0, True]]),
    ("skeleton.limbs", [[0, -1]]),
    ("skeleton.flip_pairs", ABSENT),
    ("skeleton.colours", []),
    ("weights_sha256", "abc"),
    ("weights_sha256", ABSENT),
    ("extra", 1),
]


def changed(spec, path, value):
    values = copy.deepcopy(spec.to_dict())
    *parents, last = path.split(".")
    where = values[parents[0]] if parents else values
    if value is ABSENT:
        del where[last]
    else:
        where[last] = value
    return values


@pytest.mark.parametrize(("path", "value"), GOOD, ids=lambda x: str(x)[:30])
def test_schema_and_reader_accept(spec, schema, path, value):
    values = changed(spec, path, value)
    schema.validate(values)
    assert PoseSpec.from_json(json.dumps(values)).to_dict() == values


@pytest.mark.parametrize(("path", "value"), BAD, ids=lambda x: str(x)[:30])
def test_schema_and_reader_refuse(spec, schema, path, value):
    values = changed(spec, path, value)
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(values)
    with pytest.raises(InputError) as caught:
        PoseSpec.from_json(json.dumps(values), "a/pose_spec.json")
    message = str(caught.value)
    assert "a/pose_spec.json" in message
    assert "\n" not in message
    # A whole section that is missing or odd is named by its first field.
    assert path in message or path.split(".")[0] in message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("spec_version", 1.0, "spec_version"),
        ("input.height", 260, "output.height"),
        ("input.height", 10**400, "input.height"),
        ("crop.aspect", 10**400, "crop.aspect"),
        ("output.zero_point", 10**400, "output.zero_point"),
        ("output.width", 47, "input.width"),
        ("crop.aspect", 1.0, "crop.aspect"),
        ("skeleton.sigmas", [0.1], "sigmas"),
        ("skeleton.limbs", [[0, 17]], "limbs"),
        ("output.scale", float("nan"), "output.scale"),
        ("decode.sigma", float("inf"), "decode.sigma"),
    ],
)
def test_reader_refuses_what_a_schema_cannot_see(spec, path, value, message):
    with pytest.raises(InputError, match=message):
        PoseSpec.from_json(json.dumps(changed(spec, path, value)))


def test_a_dotted_key_does_not_stand_for_a_field(spec):
    values = spec.to_dict()
    del values["input"]["height"]
    with pytest.raises(InputError, match=r"does not know: 'input\.height'"):
        PoseSpec.from_json(json.dumps(values | {"input.height": 256}))
    whole = {f"output.{name}": value for name, value in values.pop("output").items()}
    with pytest.raises(InputError, match="does not know"):
        PoseSpec.from_json(json.dumps(values | whole))


@pytest.mark.parametrize("part", ["end", "directory", "text"])
def test_a_damaged_archive_is_called_damaged(spec, tmp_path, part):
    content = bytearray(spec.append_to_tflite(TFLITE))
    if part == "end":
        del content[-10:]
    else:
        where = content.find(b"PK\x01\x02") if part == "directory" else len(TFLITE) + 60
        content[where : where + 4] = b"\0\0\0\0"
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(InputError, match="model.tflite is damaged"):
        PoseSpec.read_from_tflite(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", b"\xff\xfe\x00", "3", "[" * 100_000])
def test_text_that_is_no_object_is_refused(text):
    with pytest.raises(InputError, match="x.json"):
        PoseSpec.from_json(text, "x.json")


def test_a_spec_cannot_be_built_wrong(spec):
    values = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
    with pytest.raises(InputError, match=r"input\.height"):
        PoseSpec(**values | {"input_height": -1})


def test_every_shipped_model_and_json_has_a_valid_spec(schema):
    for path in assets_folder().glob("*.tflite"):
        schema.validate(PoseSpec.read_from_tflite(path).to_dict())
    shipped = Path(assets_folder()) / "pose_spec.json"
    if shipped.exists():
        schema.validate(json.loads(shipped.read_text()))
