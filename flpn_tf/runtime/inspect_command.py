"""What `flpn inspect` does."""

import hashlib
import json
from pathlib import Path

from flpn_tf.errors import InputError, printable
from flpn_tf.plain_table import columns
from flpn_tf.presets import resolve_model
from flpn_tf.runtime import files
from flpn_tf.runtime.inspect_model import inspect_tflite
from flpn_tf.runtime.native_stderr import discard_native_stderr


def run(model: str, json_to: str | None = None) -> None:
    """Says what is inside a model's file.

    Args:
        model: `.tflite` or `.keras` file, preset or alias.
        json_to: file for what `inspect_tflite` or `inspect_keras` found, or `files.STANDARD_OUTPUT`, which
            leaves out the text.

    Raises:
        InputError: another kind of file, or one that does not load.
    """
    path = resolve_model(model)
    files.check_json_output(json_to)
    if json_to not in (None, files.STANDARD_OUTPUT):
        files.check_apart(json_to, [path])
    if path.is_dir():
        raise InputError(
            f"flpn inspect reads .tflite and .keras files; a SavedModel is for serving. Received: {path}"
        )
    if path.suffix == ".keras":
        found, lines = inspect_keras(path), _keras_lines
    else:
        with discard_native_stderr():
            found, lines = inspect_tflite(path), _tflite_lines
    if json_to is not None:
        files.write_json(json_to, json.dumps(found, indent=1) + "\n")
    if json_to != files.STANDARD_OUTPUT:
        text = [*_file_lines(found), "", *lines(found), "", *_spec_lines(found)]
        print("\n".join(map(printable, text)))


def inspect_keras(path: Path) -> dict:
    """Reads one of this package's networks; imports Keras.

    Returns:
        json-ready: ``model``, ``size_mb``, ``sha256``, ``pose_spec``, ``labels`` and ``weights_sha256`` as of
        `inspect_tflite`; ``params`` (trainable), ``non_trainable`` and ``flops`` by convention as of
        `flpn_tf.complexity`.

    Raises:
        InputError: Keras is not installed, or the file is no such network.
    """
    from flpn_tf.frameworks import needs_keras

    needs_keras()
    from flpn_tf.complexity import measure
    from flpn_tf.models.catalogue import GIGA
    from flpn_tf.models.load import load_network

    network = load_network(path)
    size, spec = measure(network), network.pose_spec()
    content = path.read_bytes()
    return {
        "model": path.stem,
        "size_mb": len(content) / 1e6,
        "sha256": hashlib.sha256(content).hexdigest(),
        "params": size.params,
        "non_trainable": size.non_trainable,
        "flops": {convention: getattr(size, convention) for convention in GIGA},
        "pose_spec": spec.to_dict(),
        "labels": list(spec.skeleton.names),
        "weights_sha256": spec.weights_sha256,
    }


def _file_lines(found: dict) -> list[str]:
    return [f"{found['model']}, {found['size_mb']:.2f} MB", f"sha256 {found['sha256']}"]


def _keras_lines(found: dict) -> list[str]:
    from flpn_tf.models.catalogue import GIGA

    flops = ", ".join(f"{name} {count / GIGA[name]:.4f} G" for name, count in found["flops"].items())
    return [
        f"parameters: {found['params']:,} trainable, {found['non_trainable']:,} others",
        f"FLOPs: {flops} (`flpn models` says what each counts)",
    ]


def _tflite_lines(found: dict) -> list[str]:
    rows = [("operation", "dtype", "count", "XNNPACK")]
    for row in found["operations"]:
        rows.append((row["name"], row["dtype"], str(row["count"]), str(row["delegated"])))
    delegate, tensors = found["delegate"], found["tensors"]
    total = sum(row["count"] for row in found["operations"])
    dtypes = ", ".join(f"{count} {name}" for name, count in tensors["dtypes"].items())
    lines = columns(rows)
    lines += [
        "",
        f"XNNPACK: {delegate['operations']} of {total} operations, in {_pieces(delegate['pieces'])}",
    ]
    if delegate["remaining"]:
        lines[-1] += "; not " + ", ".join(f"{n} {name}" for name, n in delegate["remaining"].items())
    lines += [f"tensors: {tensors['count']} ({dtypes}), {tensors['float']} of them float"]
    lines += ["largest activations:"]
    for tensor in tensors["largest_activations"]:
        lines.append(
            f"  {tensor['kb']:8.1f} kB  {tensor['dtype']} {_shape(tensor['shape'])}  {tensor['name']}"
        )
    for role in ("inputs", "outputs"):
        for port in found[role]:
            quantised = (
                f", scale {port['scale']:.6g}, zero point {port['zero_point']}" if port["scale"] else ""
            )
            lines.append(f"{role[:-1]}: {port['name']} {port['dtype']} {_shape(port['shape'])}{quantised}")
    for name, ports in found["signatures"].items():
        lines.append(f"signature {name}: {', '.join(ports['inputs'])} → {', '.join(ports['outputs'])}")
    if found["subgraphs"] > 1:
        lines.append(f"{found['subgraphs']} subgraphs; operations and tensors are of the first")
    return lines


def _spec_lines(found: dict) -> list[str]:
    spec = found["pose_spec"]
    if spec is None:
        return ["no pose_spec.json: not made by `flpn convert`"]
    image, crop, output, decode = (spec[key] for key in ("input", "crop", "output", "decode"))
    return [
        f"pose_spec.json, version {spec['spec_version']}: {spec['name']}",
        f"  crop {image['height']}x{image['width']} (height x width) {image['color']} {image['dtype']}, "
        f"{crop['padding']} x the box",
        f"  heatmaps {output['height']}x{output['width']} {output['dtype']}, decoding {decode['rule']}, "
        f"sigma {decode['sigma']}",
        f"  weights_sha256 {spec['weights_sha256'] or '-'}",
        f"labels: {', '.join(found['labels'] or ['none'])}",
    ]


def _pieces(count: int) -> str:
    return f"{count} piece{'' if count == 1 else 's'}"


def _shape(sides: list[int]) -> str:
    return "x".join(str(side) for side in sides)
