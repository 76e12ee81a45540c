"""What `flpn convert` does."""

import json
import math
import sys
import tempfile
from pathlib import Path

import tensorflow as tf

from flpn_tf.convert.artefact_files import check_artefact, copies_of, write_artefact
from flpn_tf.convert.quantization_report import (
    REPORT_CROPS,
    in_words,
    quantization_report,
    shared_photos,
)
from flpn_tf.convert.tflite import CALIBRATION_CROPS, INTEGER_FORMATS, check_format, convert
from flpn_tf.data.crops import sample_crops
from flpn_tf.data.records import PersonRecord
from flpn_tf.data.sources import locate, read_people
from flpn_tf.errors import GateError, InputError, printable
from flpn_tf.evaluation.compare import drop_in_words
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.models.load import load_network, network_path
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.runtime.files import check_apart, check_writable, sha256_of, write_json
from flpn_tf.runtime.native_stderr import discard_native_stderr


def run(
    model, out, to="float16", calibrate=None, evaluate_on=None, report=None, gate=None, **options
) -> None:
    """Converts a `.keras` file.

    Args:
        model: the `.keras` file, or a preset or alias.
        out: the `.tflite` to write, whole or not at all, with copies of its spec and labels beside it.
        to: one of the formats of `flpn_tf.convert.tflite.convert`.
        calibrate: data-set folder for the integer formats.
        evaluate_on: data set on which the file is compared with the network before it is written; what is
            found is printed.
        report: `.json` for what was found, written also where the gate refuses.
        gate: points of AP or PCK that may be lost on `evaluate_on`.
        options: of `convert`.

    Raises:
        InputError: bad model, data, format, option or output path; or a gate on photos that calibrated.
        GateError: more is lost than the gate lets pass; `out` is then as it was.
    """
    check_format(to)
    integer = to in INTEGER_FORMATS
    if integer and calibrate is None:
        raise InputError(
            f"{to} needs {CALIBRATION_CROPS} calibration crops; give a data set with --calibrate"
        )
    if evaluate_on is None and not report is gate is None:
        raise InputError("--report and --gate need a data set to measure on; give it with --evaluate")
    check_points(gate)
    out, model = check_artefact(out), network_path(model)
    if report is not None:
        given = [locate(data)[0] for data in (calibrate, evaluate_on) if data is not None]
        check_apart(check_writable(report, (".json",)), [model, out, *copies_of(out).values(), *given])
    network = load_network(model)
    padding = network.pose_spec().padding
    records = read_people(calibrate).records if integer else []
    crops = sample_crops(records, CALIBRATION_CROPS, *network.image_size, padding) if integer else None
    if evaluate_on is None:
        content = converted(network, to, crops, out, options)
    else:
        people = read_people(evaluate_on)
        shared = shared_with_calibration(people.records, records, evaluate_on, gate)
        with tempfile.TemporaryDirectory() as folder:
            exact, source = network, Path(model)
            if network.qat:  # it rounds as the file will; what that costs is measured from the same without
                exact, model = network.with_qat(False), Path(folder) / source.name
                exact.save(model)
            # First what fails early where it fails.
            before = evaluate(model, evaluate_on)
            content = converted(network, to, crops, out, options)
            reference = content if to == "float32" else converted(exact, "float32", None, out, options)
            count = min(REPORT_CROPS, len(people))
            held_out = sample_crops(people.records, count, *network.image_size, padding)
            artefact = Path(folder) / out.name
            artefact.write_bytes(content)
            after = evaluate(artefact, evaluate_on)
            found = quantization_report(exact, to, artefact, reference, held_out, before, after)
            found["model_sha256"] = sha256_of(source)
        found["calibration"] = {"crops": len(crops), "evaluation_photos": shared} if integer else None
        found["gate"] = gate
        if report is not None:
            write_json(report, json.dumps(found, indent=1) + "\n")
        print("\n".join(in_words(found)))
        if gate is not None:
            measured = found["evaluation"]
            check_drops(measured["drop"], gate, out, to, measured["data"])
    print(write_artefact(out, content))


def converted(network: PoseNetwork, to: str, crops, out: Path, options: dict) -> bytes:
    """`convert` without the converter's notices; an operation's failure is an InputError."""
    try:
        with discard_native_stderr():
            return convert(network, to, crops, out.stem, **options)
    except tf.errors.OpError as error:
        # The graph goes through a file in the system's temporary folder.
        raise InputError(f"{out}: cannot be converted ({printable(error.message)})") from error


def check_points(gate: float | None) -> None:
    """Refuses a gate that is no number of points."""
    if gate is not None and not (math.isfinite(gate) and gate >= 0):
        raise InputError(f"--gate is a number of points, 0 or more. Received: {gate}")


def shared_with_calibration(
    evaluated: list[PersonRecord], calibrating: list[PersonRecord], data, gate
) -> int:
    """How many photos to measure on may have set the ranges; said where there are any."""
    shared = shared_photos(evaluated, calibrating)
    if shared:
        message = (
            f"{data}: {len(shared)} of its photos are in the calibration data too, first {shared[0].name}"
        )
        if gate is not None:
            raise InputError(f"{message}; a gate needs others")
        print(printable(f"flpn: {message}; the drop may look too small"), file=sys.stderr)
    return len(shared)


def check_drops(drops: dict[str, dict], gate: float, out: Path, to: str, data) -> None:
    """Refuses a file by what it loses.

    Args:
        drops: `Drop.to_dict` of each number that could be measured.
        gate: points that may be lost.
        out: the file, for the message.
        to: its format.
        data: what was measured on, a path.

    Raises:
        GateError: more is lost, or nothing could be measured.
    """
    if not drops:
        raise GateError(f"{out}: not written; neither AP nor PCK can be measured on {data}")
    lost = [f"{name} {drop_in_words(drop)}" for name, drop in drops.items() if drop["value"] > gate]
    if lost:
        raise GateError(f"{out}: not written; {to} loses {', '.join(lost)} on {data}, the gate is {gate:g}")
