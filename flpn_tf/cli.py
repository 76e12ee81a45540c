"""The command line: parsing only. Work is imported inside each command, so that `flpn pose` stays light."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from flpn_tf.artefacts_cli import add_commands
from flpn_tf.data.data_cli import app as data_app
from flpn_tf.errors import GateError, InputError, RemoteError, printable
from flpn_tf.frameworks import needs_keras, needs_tensorflow
from flpn_tf.ratios_cli import ratios

_READER_GONE = 128 + 13  # what a shell reports of a program ended by SIGPIPE

app = typer.Typer(
    name="flpn",
    help="Human poses on phones: train, check, compress and ship.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # it would read [x, y, w, h] as a style
    pretty_exceptions_enable=False,
)
app.add_typer(data_app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"flpn {version('flpn-tf')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """Those before any command."""


@app.command()
def pose(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGES|VIDEO", help="Photos, folders of photos, one video, or the number of a camera."
        ),
    ],
    boxes: Annotated[
        Path | None,
        typer.Option(help="Json: [x, y, w, h]s of a photo or first frame, or an object photo name → list."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Path, preset, alias or a server's URL; default flpn-mobile.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A photo with the pose, .png or .jpg; a video, .mp4, .webm, .avi, ….")
    ] = None,
    json: Annotated[
        str | None, typer.Option(help="File, or - for standard output (the default without --out).")
    ] = None,
    decode: Annotated[
        str | None, typer.Option(help="argmax, quarter or dark; default: the model's own.")
    ] = None,
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Average with the mirrored photo.")] = False,
    threads: Annotated[int, typer.Option(help="Of the TFLite runtime, 1 to 64.")] = 1,
    detector: Annotated[
        Path | None,
        typer.Option(help="Network that finds the people, .tflite or .onnx, in place of --boxes."),
    ] = None,
    detector_layout: Annotated[
        str | None, typer.Option(help="yolox, ssd or picodet; default: the one that its outputs fit.")
    ] = None,
    detector_score: Annotated[
        float | None, typer.Option(help="People below it are left out, 0 to 1; default 0.3.")
    ] = None,
    detector_class: Annotated[
        int | None, typer.Option(help="Number of its class of people; default: that of COCO.")
    ] = None,
    smooth: Annotated[
        bool, typer.Option("--smooth/--no-smooth", help="A video's joints, by the one-euro filter.")
    ] = True,
    seconds: Annotated[
        float | None, typer.Option(help="Of a video or camera; default: to its end, or Ctrl-C.")
    ] = None,
) -> None:
    """Estimate the poses in photos, or follow people through a video."""
    from flpn_tf.presets import DEFAULT_MODEL
    from flpn_tf.runtime import pose_command
    from flpn_tf.runtime.pose_settings import PoseSettings

    settings = PoseSettings(
        DEFAULT_MODEL if model is None else model,
        decode,
        flip,
        threads,
        detector,
        detector_layout,
        detector_score,
        detector_class,
    )
    pose_command.run(sources, boxes, out, json, settings, smooth, seconds)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML; see training/configs.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values that differ: schedule.epochs=3 model.width=0.5 …")
    ] = None,
    *,
    data: Annotated[Path, typer.Option(help="What flpn data prepare made, or a data set as it takes them.")],
    output: Annotated[Path, typer.Option(help="Folder of the run; the same one resumes it.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the photos; default: images/.")] = None,
    split: Annotated[
        str | None, typer.Option(help="train, test, valid or all, where the data set has such a split.")
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help=".keras model, preset or alias whose weights to start from.")
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="Data set to measure AP and PCK on; decides which weights are best.keras."),
    ] = None,
    validation_images: Annotated[Path | None, typer.Option(help="As --images, of --validation.")] = None,
    validation_split: Annotated[str | None, typer.Option(help="As --split, of --validation.")] = None,
    qat_backend: Annotated[
        str,
        typer.Option(
            help="What rounds where the config says qat: keras, or tfmot (extra qat-tfmot; no validation, "
            "moving average or several devices; builds 40 s longer; writes OUTPUT/model_int8.tflite)."
        ),
    ] = "keras",
) -> None:
    """Train a network; run the same command again to go on after an interruption."""
    needs_keras()
    from flpn_tf.training.config_file import load_config
    from flpn_tf.training.fit import train

    settings = load_config(config, overrides or ())
    measured = validation, validation_images, validation_split
    if qat_backend == "tfmot" and settings.qat:
        needs_tensorflow(as_backend=True)
        from flpn_tf.training.qat_tfmot import train_tfmot

        if measured != (None, None, None):
            raise InputError("--qat-backend tfmot measures nothing in training; leave --validation out")
        print(train_tfmot(settings, data, output, init, images, split))
        return
    if qat_backend != "keras":
        raise InputError(f"--qat-backend is keras, or tfmot of a config with qat. Received: {qat_backend}")
    print(train(settings, data, output, init, images, split, *measured))


@app.command()
def pretrain(
    config: Annotated[Path, typer.Argument(help="YAML; see training/configs/pretrain_*.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Values that differ: schedule.epochs=3 model.width=0.5 …")
    ] = None,
    *,
    data: Annotated[
        Path, typer.Option(help="Folder with a folder of images per class, or with train/ and val/ of these.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the run; the same one resumes it.")],
) -> None:
    """Train a network's backbone as an image classifier, for flpn train --init."""
    needs_tensorflow()
    from flpn_tf.training.config_file import load_config
    from flpn_tf.training.pretrain import PretrainConfig, pretrain

    print(pretrain(load_config(config, overrides or (), PretrainConfig), data, output))


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help=".tflite, .keras, .weights.h5, SavedModel, preset or alias; or poses in COCO's results "
            "format (.json)."
        ),
    ],
    data: Annotated[Path, typer.Argument(help="Data set: a folder, or its annotation file.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the photos; default: images/.")] = None,
    split: Annotated[
        str | None, typer.Option(help="train, test, valid or all, where the data set has such a split.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Protocol: coco, mpii or lsp; default: that of the data's format.")
    ] = None,
    boxes: Annotated[
        str, typer.Option(help="gt, or a json of a detector's boxes in COCO's results format.")
    ] = "gt",
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Average with the mirrored photo.")] = False,
    decode: Annotated[
        str | None, typer.Option(help="argmax, quarter or dark; default: the model's own.")
    ] = None,
    nms: Annotated[
        str | None, typer.Option(help="oks (default), soft or none: what becomes of poses like a better one.")
    ] = None,
    json: Annotated[str | None, typer.Option(help="Metrics: file, or - for standard output.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Poses as COCO's evaluation server takes them, .json.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Worst cases, errors by joint and by size, calibration: .html or .png."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="Another model, or poses beside poses: how much lower MODEL is, with 95 % interval."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Training config of a .weights.h5; default: config.yaml beside it.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="Of the TFLite runtime, 1 to 64.")] = 1,
) -> None:
    """Measure a model, or poses, by the protocol of COCO, MPII or LSP."""
    from flpn_tf.evaluation import evaluate_command

    evaluate_command.run(
        model,
        data,
        images,
        json,
        results,
        report,
        against,
        split=split,
        dataset=dataset,
        boxes=boxes,
        flip_test=flip,
        decode=decode,
        nms=nms,
        config=config,
        threads=threads,
    )


app.command()(ratios)
add_commands(app)


def main() -> None:
    """Console script `flpn`.

    Exits with 0, 2 for bad input or a file that the system refuses to read or write, 3 for a refused gate,
    4 for a server that gives no answer, 130 if interrupted, 141 without a word if the reader of standard
    output has gone (`flpn … | head`).
    """
    if sys.stderr is None:  # closed by `2>&-`; without it `print` would write notices to standard output
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    try:
        try:
            app()
        finally:
            _flush_stdout()
    except (InputError, GateError, RemoteError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            sys.exit(_READER_GONE)
        print(f"flpn: error: {printable(' '.join(str(error).split()))}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", InputError.exit_code))
    except KeyboardInterrupt:
        print("flpn: interrupted", file=sys.stderr)
        sys.exit(130)
    except SystemExit as leaving:
        if leaving.code == 130:  # Typer's answer to Ctrl-C
            print("flpn: interrupted", file=sys.stderr)
        # Typer turns a broken pipe into exit code 1.
        if isinstance(leaving.__context__, BrokenPipeError):
            sys.exit(_READER_GONE)
        raise


def _flush_stdout() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # What is left in the buffer would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise
