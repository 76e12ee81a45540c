"""The commands that make and look at models' files: parsing only, as in `flpn_tf.cli`."""

from pathlib import Path
from typing import Annotated

import typer

from flpn_tf.frameworks import needs_package, needs_tensorflow


def convert(
    model: Annotated[Path, typer.Argument(help=".keras model, preset or alias.")],
    out: Annotated[Path, typer.Argument(help="The .tflite to write.")],
    to: Annotated[str, typer.Option(help="float32, float16, dynamic, int8 or int8_float_io.")] = "float16",
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Data set of 200 people or more whose crops set the int8 ranges: keep evaluation data out."
        ),
    ] = None,
    evaluate: Annotated[
        Path | None, typer.Option(help="Data set to compare network and .tflite on before it is written.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="What was found with --evaluate, as .json.")] = None,
    gate: Annotated[
        float | None,
        typer.Option(help="Points of AP or PCK that may be lost there; else exit 3 and OUT as it was."),
    ] = None,
    keypoints: Annotated[
        bool, typer.Option("--keypoints", help="Add the signature keypoints: (x, y, score) in crop pixels.")
    ] = False,
    plain_depthwise: Annotated[
        bool | None,
        typer.Option(
            help="No depthwise convolution of several outputs a channel, which GPUs refuse and some NPUs run "
            "slowly; default: not in int8, which it rounds once more."
        ),
    ] = None,
) -> None:
    """Convert a network into a .tflite with its pose_spec.json inside, and prove what it keeps."""
    needs_tensorflow(as_backend=True)
    from flpn_tf.convert import convert_command

    options = {"keypoints": keypoints, "plain_depthwise": plain_depthwise}
    convert_command.run(model, out, to, calibrate, evaluate, report, gate, **options)


def export(
    model: Annotated[Path, typer.Argument(help=".keras model, preset or alias.")],
    out: Annotated[
        Path, typer.Argument(help="The model's folder, whose name is the model's; versions go into it.")
    ],
    version: Annotated[
        int | None, typer.Option(help="Its number; default: one more than the highest in OUT.")
    ] = None,
    flip: Annotated[
        bool,
        typer.Option("--flip/--no-flip", help="Average with the mirrored crop before keypoints are read."),
    ] = False,
) -> None:
    """Export a SavedModel for TensorFlow Serving: JPEG and boxes → keypoints, crops → keypoints, heatmaps."""
    needs_tensorflow(as_backend=True)
    needs_package("tensorflow_serving")
    from flpn_tf.convert.serving.export import export, version_folder
    from flpn_tf.models.load import load_network

    version_folder(out, version)  # refuses before the network is loaded
    print(export(load_network(model), out, version, flip))


def benchmark(
    models: Annotated[
        list[str], typer.Argument(help=".tflite paths, presets or aliases; ratios are to the first.")
    ],
    threads: Annotated[str, typer.Option(help="Of the runtime; several between commas: 1,2,4.")] = "1",
    xnnpack: Annotated[str, typer.Option(help="The runtime's CPU delegate: on, off or both.")] = "on",
    rounds: Annotated[int, typer.Option(help="Turns of every model.")] = 5,
    runs: Annotated[int, typer.Option(help="Timed runs in a turn.")] = 40,
    warm_up: Annotated[int, typer.Option(help="Runs before them, not timed.")] = 3,
    json: Annotated[str | None, typer.Option(help="File, or - for standard output.")] = None,
) -> None:
    """Time models in turns: latency, ratios, cold start, peak memory."""
    from flpn_tf.runtime import benchmark_command

    benchmark_command.run(models, threads, xnnpack, rounds, runs, warm_up, json)


def inspect(
    model: Annotated[str, typer.Argument(help=".tflite or .keras path, preset or alias.")],
    json: Annotated[str | None, typer.Option(help="File, or - for standard output.")] = None,
) -> None:
    """Show a model's operations, delegate coverage, tensors, spec and checksums."""
    from flpn_tf.runtime import inspect_command

    inspect_command.run(model, json)


def models(
    json: Annotated[str | None, typer.Option(help="File, or - for standard output.")] = None,
) -> None:
    """Parameters and FLOPs of the networks beside the paper's."""
    needs_tensorflow()
    from flpn_tf.models import models_command

    models_command.run_models(json)


def web(
    folder: Annotated[
        Path | None, typer.Argument(help="A built page; default: web_demo/dist, which make web builds.")
    ] = None,
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="0.0.0.0 lets other devices in.")] = "127.0.0.1",
) -> None:
    """Serve the page that finds poses in the browser."""
    from flpn_tf.runtime import web_command

    web_command.run(folder, port, host)


def add_commands(app: typer.Typer) -> None:
    """Gives the console script these commands."""
    for command in (convert, export, benchmark, inspect, models, web):
        app.command()(command)
