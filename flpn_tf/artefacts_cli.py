"""The commands that make and look at models' files: parsing only, as in `flpn_tf.cli`."""

from pathlib import Path
from typing import Annotated

import typer

from flpn_tf.frameworks import needs_tensorflow


def convert(
    model: Annotated[Path, typer.Argument(help=".keras model.")],
    out: Annotated[Path, typer.Argument(help="The .tflite to write.")],
    to: Annotated[str, typer.Option(help="float32, float16, dynamic, int8 or int8_float_io.")] = "float16",
    calibrate: Annotated[
        Path | None, typer.Option(help="Data set whose crops set the int8 ranges: keep evaluation data out.")
    ] = None,
) -> None:
    """Convert a network into a .tflite with its pose_spec.json inside."""
    needs_tensorflow(as_backend=True)
    from flpn_tf.convert import convert_command

    convert_command.run(model, out, to, calibrate)


def export(
    model: Annotated[Path, typer.Argument(help=".keras model.")],
    out: Annotated[Path, typer.Argument(help="The SavedModel folder to make.")],
) -> None:
    """Export a SavedModel: image (B, H, W, 3) uint8 → heatmaps."""
    needs_tensorflow(as_backend=True)
    from flpn_tf.convert.saved_model import export_saved_model
    from flpn_tf.models.load import load_network

    print(export_saved_model(load_network(model), out))


def models(
    json: Annotated[str | None, typer.Option(help="File, or - for standard output.")] = None,
) -> None:
    """Parameters and FLOPs of the networks beside the paper's."""
    needs_tensorflow()
    from flpn_tf.models import models_command

    models_command.run_models(json)


def add_commands(app: typer.Typer) -> None:
    """Gives the console script these commands."""
    for command in (convert, export, models):
        app.command()(command)
