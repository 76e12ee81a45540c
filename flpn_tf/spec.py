"""PoseSpec: what a deployed pose model expects and gives, as stored in `pose_spec.json`.

The json travels inside each `.tflite` (appended as a ZIP archive, which TFLite readers ignore) and in the
`assets` folder of a SavedModel. Python, Java and the browser read it; none knows these values by heart.
"""

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flpn_tf.codec import DECODE_RULES, HeatmapCodec
from flpn_tf.errors import InputError
from flpn_tf.geometry import PADDING
from flpn_tf.skeleton import Skeleton

SPEC_VERSION = 1
SPEC_FILE = "pose_spec.json"
LABELS_FILE = "labels.txt"

INPUT_DTYPES = ("uint8", "float32")
OUTPUT_DTYPES = ("float32", "uint8", "int8", "int16")

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a ZIP can hold: equal specs give equal bytes
# What reading a damaged archive can raise.
ZIP_ERRORS = (zipfile.BadZipFile, KeyError, ValueError, RuntimeError, EOFError, struct.error, zlib.error)
_LARGEST = 2**31  # of any number: all arithmetic with it stays finite
_TFLITE_IDENTIFIER = (slice(4, 8), b"TFL3")


def _whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _positive(value) -> bool:
    return _number(value) and value > 0


def _between(low: float, high: float):
    return lambda value: _number(value) and low <= value <= high


def _rgb(value) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_number, value))


def _text(value) -> bool:
    return isinstance(value, str) and value != ""


def _sha256(value) -> bool:
    return value is None or (isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None)


def _one_of(*choices):
    # `1 == True` in Python, not in json.
    return lambda value: any(value == choice and type(value) is type(choice) for choice in choices)


# Field → (is it right, what it must be). Version 1 has one value for the fields that name a single choice.
_FIELDS = {
    "name": (_text, "a non-empty string"),
    "architecture": (lambda value: isinstance(value, Mapping), "an object"),
    "input.name": (_one_of("image"), '"image"'),
    "input.height": (_whole, "a whole number above 0"),
    "input.width": (_whole, "a whole number above 0"),
    "input.layout": (_one_of("NHWC"), '"NHWC"'),
    "input.color": (_one_of("RGB"), '"RGB"'),
    "input.dtype": (_one_of(*INPUT_DTYPES), f"one of {', '.join(INPUT_DTYPES)}"),
    "input.range": (lambda value: value == [0, 255] and all(map(_number, value)), "[0, 255]"),
    "input.normalised_inside": (_one_of(True), "true"),
    "input.mean": (_rgb, "three numbers"),
    "input.std": (lambda value: _rgb(value) and min(value) > 0, "three numbers above 0"),
    "crop.aspect": (_positive, "a number above 0"),
    "crop.padding": (_between(0.1, 10), "a number from 0.1 to 10"),
    "crop.interpolation": (_one_of("bilinear"), '"bilinear"'),
    "crop.border": (_one_of(0), "0"),
    "output.name": (_one_of("heatmaps"), '"heatmaps"'),
    "output.height": (_whole, "a whole number above 0"),
    "output.width": (_whole, "a whole number above 0"),
    "output.dtype": (_one_of(*OUTPUT_DTYPES), f"one of {', '.join(OUTPUT_DTYPES)}"),
    "output.scale": (_positive, "a number above 0 (1 for float32)"),
    "output.zero_point": (
        lambda value: isinstance(value, int) and _number(value),
        "a whole number (0 for float32)",
    ),
    "decode.rule": (_one_of(*DECODE_RULES), f"one of {', '.join(DECODE_RULES)}"),
    "decode.stride": (_whole, "a whole number above 0"),
    "decode.sigma": (_between(0.1, 64), "a number from 0.1 to 64"),
    "skeleton": (lambda value: isinstance(value, Mapping), "an object"),
    "weights_sha256": (_sha256, "64 lower-case hexadecimal digits, or null"),
}
_SECTIONS = tuple(dict.fromkeys(path.split(".")[0] for path in _FIELDS if "." in path))


@dataclass(frozen=True)
class PoseSpec:
    """Everything needed to run a pose model on a photo.

    Attributes:
        name: the model's name, e.g. a preset with its format.
        architecture: the network's constructor arguments, free form.
        input_height, input_width: of the crop, pixels (RGB, NHWC, values 0–255, normalised in the graph).
        input_dtype: ``"uint8"`` or ``"float32"``.
        mean, std: the normalisation inside the graph, per RGB channel: (pixel − mean) / std.
        padding: how much more than the person's box the crop shows.
        output_height, output_width: of the heatmaps; times ``stride`` they are the input's.
        output_dtype, output_scale, output_zero_point: heatmap = scale · (stored value − zero point).
        decode_rule, stride, sigma: see `HeatmapCodec`.
        skeleton: the joints, in the heatmaps' order.
        weights_sha256: of the weights the model was made from, or None.

    Raises:
        InputError: from the readers, naming the field and the file.
    """

    name: str
    architecture: Mapping
    input_height: int
    input_width: int
    output_height: int
    output_width: int
    skeleton: Skeleton
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input_dtype: str = "uint8"
    padding: float = PADDING
    output_dtype: str = "float32"
    output_scale: float = 1.0
    output_zero_point: int = 0
    decode_rule: str = "dark"
    stride: int = 4
    sigma: float = 2.0
    weights_sha256: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "std", tuple(self.std))
        _check(self.to_dict(), "PoseSpec")

    @property
    def codec(self) -> HeatmapCodec:
        """The codec that reads this model's heatmaps."""
        return HeatmapCodec(
            self.output_height, self.output_width, self.stride, self.sigma, decode_rule=self.decode_rule
        )

    def to_dict(self) -> dict:
        """The content of `pose_spec.json`."""
        skeleton = self.skeleton.to_dict()
        del skeleton["name"]
        return {
            "spec_version": SPEC_VERSION,
            "name": self.name,
            "architecture": dict(self.architecture),
            "input": {
                "name": "image",
                "height": self.input_height,
                "width": self.input_width,
                "layout": "NHWC",
                "color": "RGB",
                "dtype": self.input_dtype,
                "range": [0, 255],
                "normalised_inside": True,
                "mean": list(self.mean),
                "std": list(self.std),
            },
            "crop": {
                "aspect": self.input_width / self.input_height,
                "padding": self.padding,
                "interpolation": "bilinear",
                "border": 0,
            },
            "output": {
                "name": "heatmaps",
                "height": self.output_height,
                "width": self.output_width,
                "dtype": self.output_dtype,
                "scale": self.output_scale,
                "zero_point": self.output_zero_point,
            },
            "decode": {"rule": self.decode_rule, "stride": self.stride, "sigma": self.sigma},
            "skeleton": skeleton,
            "weights_sha256": self.weights_sha256,
        }

    def to_json(self) -> str:
        """The text of `pose_spec.json`."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, source: str = SPEC_FILE) -> "PoseSpec":
        """Reads `pose_spec.json`; ``source`` names the file in errors."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source} is not json: {error}") from error
        _check(values, source)
        output, decode = values["output"], values["decode"]
        return cls(
            name=values["name"],
            architecture=values["architecture"],
            input_height=values["input"]["height"],
            input_width=values["input"]["width"],
            input_dtype=values["input"]["dtype"],
            mean=values["input"]["mean"],
            std=values["input"]["std"],
            padding=values["crop"]["padding"],
            output_height=output["height"],
            output_width=output["width"],
            output_dtype=output["dtype"],
            output_scale=output["scale"],
            output_zero_point=output["zero_point"],
            decode_rule=decode["rule"],
            stride=decode["stride"],
            sigma=decode["sigma"],
            skeleton=Skeleton.from_dict(values["skeleton"]),
            weights_sha256=values["weights_sha256"],
        )

    @classmethod
    def read_from_tflite(cls, path: str | Path) -> "PoseSpec":
        """Reads the spec inside a `.tflite` file."""
        path = Path(path)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"Cannot read the model {path}: {error.strerror}") from error
        where, identifier = _TFLITE_IDENTIFIER
        if content[where] != identifier:
            raise InputError(
                f"{path} is not a TFLite model. Received: {len(content)} bytes of something else"
            )
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                text = archive.read(SPEC_FILE)
        except ZIP_ERRORS as error:
            if SPEC_FILE.encode() in content:
                raise InputError(
                    f"{path} is damaged: its {SPEC_FILE} cannot be unpacked ({error})"
                ) from error
            raise InputError(
                f"{path} carries no {SPEC_FILE}, so its crop, joints and decoding are unknown: "
                "use a model made by `flpn convert`"
            ) from error
        return cls.from_json(text, f"{path}/{SPEC_FILE}")

    def append_to_tflite(self, model: bytes) -> bytes:
        """The `.tflite` bytes with `pose_spec.json` and `labels.txt` (a joint a line) appended as a ZIP."""
        if zipfile.is_zipfile(io.BytesIO(model)):
            raise InputError(f"The TFLite model already carries appended files. Received: {len(model)} bytes")
        stream = io.BytesIO(model)
        labels = "".join(f"{name}\n" for name in self.skeleton.names)
        with zipfile.ZipFile(stream, "a") as archive:
            for name, text in ((SPEC_FILE, self.to_json()), (LABELS_FILE, labels)):
                archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), text)
        return stream.getvalue()


def _check(values, source: str) -> None:
    """Raises `InputError` unless ``values`` is the content of a version-1 spec."""
    if not isinstance(values, Mapping):
        raise InputError(f"{source} must hold a json object. Received: {values!r}")
    version = values.get("spec_version")
    if type(version) is not int or version != SPEC_VERSION:  # neither `true` nor 1.0
        raise InputError(
            f"{source}: this flpn_tf reads spec_version {SPEC_VERSION}; update it or re-export the model. "
            f"Received: {version!r}"
        )
    flat = {}
    for key, value in values.items():
        if key in _SECTIONS and isinstance(value, Mapping):
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
        elif "." in key:
            raise InputError(f"{source} has a field that version {SPEC_VERSION} does not know: {key!r}")
        elif key != "spec_version":
            flat[key] = value
    for path, (is_right, expected) in _FIELDS.items():
        if path not in flat:
            raise InputError(f"{source} lacks the field {path}, {expected}")
        if not is_right(flat[path]):
            raise InputError(f"{source}: the field {path} must be {expected}. Received: {flat[path]!r}")
    unknown = sorted(set(flat) - set(_FIELDS))
    if unknown:
        raise InputError(f"{source} has a field that version {SPEC_VERSION} does not know: {unknown[0]}")
    try:
        Skeleton.from_dict(values["skeleton"])
    except InputError as error:
        raise InputError(f"{source}: skeleton: {error}") from error
    for side in ("height", "width"):
        expected = flat[f"output.{side}"] * flat["decode.stride"]
        if flat[f"input.{side}"] != expected:
            raise InputError(
                f"{source}: input.{side} must be output.{side} * decode.stride = {expected}. "
                f"Received: {flat[f'input.{side}']}"
            )
    aspect = flat["input.width"] / flat["input.height"]
    if abs(flat["crop.aspect"] - aspect) > 1e-6:
        raise InputError(
            f"{source}: crop.aspect must be input.width / input.height = {aspect:.6g}. "
            f"Received: {flat['crop.aspect']}"
        )
