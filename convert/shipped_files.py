"""A preset's files in the package: the `.keras` file, the `.tflite` files, their checksums."""

import json
import re
import tempfile
from pathlib import Path

from flpn_tf.complexity import measure
from flpn_tf.convert.artefact_files import check_artefact, write_artefact
from flpn_tf.convert.convert_command import check_drops, check_points, converted, shared_with_calibration
from flpn_tf.convert.tflite import CALIBRATION_CROPS
from flpn_tf.data.crops import sample_crops
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation.compare import compare
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.models.half_precision import save_half
from flpn_tf.models.load import load_network
from flpn_tf.presets import ALIASES, PRESETS_FILE, assets_folder, shipped_weights, weights_folder
from flpn_tf.runtime.files import check_writable, sha256_of, write_atomically

SHIPPED_FORMATS = ("float16", "int8", "int8_float_io")
_PRESET = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*_(\d+)x(\d+)")  # …_<height>x<width>


GATE = 1.0  # points


def ship(model, preset: str, calibrate, evaluate_on=None, gate: float | None = None) -> list[Path]:
    """Replaces a preset's files in the package, or adds a preset.

    The `.tflite` files are made from the half-precision network: all hold the same `weights_sha256`.
    Nothing is written before everything is made; if it is killed while it writes, the same call again
    makes the files agree.

    Args:
        model: the trained `.keras` file.
        preset: name, ending in the input's height and width, or alias.
        calibrate: data set of 200 people or more that sets the ranges of the int8 files.
        evaluate_on: data set, of other people, on which no file may lose more than the gate; None: not
            measured.
        gate: points of AP or PCK; by default `GATE`.

    Returns:
        The paths written, without the copies of spec and labels.

    Raises:
        InputError: a bad model, or one of quantisation-aware training, a bad name, data set or gate, a gate
            on photos that calibrate, a value that float16 cannot hold, or a folder that cannot be written.
        GateError: as `convert`, or a file that loses more than the gate. Nothing is written then.
    """
    if gate is not None and evaluate_on is None:
        raise InputError("--gate needs a data set to measure on; give it with --evaluate")
    gate = GATE if gate is None else gate
    check_points(gate)
    preset = ALIASES.get(preset, preset)
    weights = check_writable(weights_folder() / f"{preset}.keras")
    listing = check_writable(weights_folder() / PRESETS_FILE)
    artefacts = {to: check_artefact(assets_folder() / f"{preset}_{to}.tflite") for to in SHIPPED_FORMATS}
    network = load_network(model)
    if network.qat:
        raise InputError(
            f"{model}: rounds as int8 does (qat: true), which a preset's .keras and float16 files do not; "
            "convert it by flpn convert --to int8, or ship a network trained without"
        )
    size = _PRESET.fullmatch(preset)
    if size is None or tuple(map(int, size.groups())) != network.image_size:
        height, width = network.image_size
        raise InputError(
            f"A preset of this network is lower-case words ending in _{height}x{width}. Received: {preset!r}"
        )
    people, padding = read_people(calibrate), network.pose_spec().padding
    if evaluate_on is not None:
        shared_with_calibration(read_people(evaluate_on).records, people.records, evaluate_on, gate)
    crops = sample_crops(people.records, CALIBRATION_CROPS, *network.image_size, padding)
    with tempfile.TemporaryDirectory() as folder:
        half = save_half(network, Path(folder) / weights.name)
        network, content = load_network(half), half.read_bytes()
        entry = {"sha256": sha256_of(half), "parameters": measure(network).params}
        made = {to: converted(network, to, crops, path, {}) for to, path in artefacts.items()}
        if evaluate_on is not None:
            exact = evaluate(half, evaluate_on)
            for to, path in artefacts.items():
                artefact = Path(folder) / path.name
                artefact.write_bytes(made[to])
                drops = compare(evaluate(artefact, evaluate_on), exact)
                check_drops(
                    {name: drop.to_dict() for name, drop in drops.items()}, gate, path, to, evaluate_on
                )
    for to, path in artefacts.items():
        write_artefact(path, made[to])
    write_atomically(weights, content)
    listed = dict(sorted({**shipped_weights(), preset: entry}.items()))
    write_atomically(listing, (json.dumps(listed, indent=1) + "\n").encode())
    return [weights, listing, *artefacts.values()]
