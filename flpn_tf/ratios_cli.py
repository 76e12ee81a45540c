"""`flpn ratios`: parsing only, as in `flpn_tf.cli`."""

from pathlib import Path
from typing import Annotated

import typer

from flpn_tf.errors import InputError
from flpn_tf.frameworks import needs_keras

# The options of the two ways to call it.
_OF_BOTH = {"search", "json"}
_OF_ONE = {
    "model",
    "data",
    "images",
    "split",
    "people",
    "layers",
    "threshold",
    "choose",
    "pairs",
    "filter_size",
}
_OF_ONE |= {"seed", "random_weights", "config", "figures"}
_NAMES = {"model": "MODEL", "data": "DATA", "list_": "--list", "train_on": "--data"}


def ratios(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            help=".keras model, preset or alias; with --random-weights also an architecture of flpn models."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Argument(help="Data set whose crops the network runs over, or its annotation file."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the photos; default: images/.")] = None,
    split: Annotated[
        str | None, typer.Option(help="train, test, valid or all, where the data set has such a split.")
    ] = None,
    people: Annotated[int, typer.Option(help="How many crops.")] = 64,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Regular expression of the layers' names, its group the stage; default: the blocks of this "
            "package's networks, before the residual sum."
        ),
    ] = None,
    threshold: Annotated[float, typer.Option(help="SSIM from which two maps are alike.")] = 0.8,
    choose: Annotated[str, typer.Option(help="The ratios t to choose from.")] = "2,4,8,16",
    pairs: Annotated[
        int,
        typer.Option(
            help="Most pairs of maps in a layer; where there are more, random maps with all others."
        ),
    ] = 300_000,
    filter_size: Annotated[
        int | None,
        typer.Option(help="SSIM's window; default: 11, or the largest odd one that fits."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which people and maps, and random weights.")] = 0,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Measure the network untrained.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="YAML to write: the network with these ratios, for flpn train.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Folder for similarity.png, histogram.png and maps.png.")
    ] = None,
    json: Annotated[str | None, typer.Option(help="File, or - for standard output.")] = None,
    search: Annotated[
        bool, typer.Option("--search", help="Compare networks in place of measuring one; the options below.")
    ] = False,
    list_: Annotated[
        str, typer.Option("--list", help="--search: table7, small, or a .yaml of the same form.")
    ] = "table7",
    epochs: Annotated[
        int | None,
        typer.Option(
            help="--search: train each network so long, those of the list small at a quarter of the width "
            "and 64x64; default: only sizes."
        ),
    ] = None,
    train_on: Annotated[Path | None, typer.Option("--data", help="--search: data set to train on.")] = None,
    validation: Annotated[
        Path | None, typer.Option(help="--search: data set to measure on, with ground-truth boxes.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="--search: protocol there: coco, mpii or lsp.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="--search: folder of the runs; the same one resumes them.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="--search: .png, metric against multiply-adds.")] = None,
) -> None:
    """Measure how alike a network's feature maps are, and which intrinsic ratios follow."""
    given = {
        name for name in context.params if context.get_parameter_source(name).name == "COMMANDLINE"
    } - _OF_BOTH
    if wrong := given & _OF_ONE if search else given - _OF_ONE:
        names = ", ".join(sorted(_NAMES.get(name, "--" + name.replace("_", "-")) for name in wrong))
        raise InputError(f"{names}: not with --search" if search else f"{names}: only with --search")
    needs_keras()
    if search:
        from flpn_tf.training import search_command

        search_command.run(list_, epochs, train_on, validation, dataset, output, json, plot)
        return
    if model is None or data is None:
        raise InputError("give a model and a data set, or --search")
    from flpn_tf.redundancy import ratios_command
    from flpn_tf.redundancy.taps import OWN_STAGES

    ratios_command.run(
        model,
        data,
        images,
        split,
        json,
        config,
        figures,
        layers=OWN_STAGES if layers is None else layers,
        people=people,
        threshold=threshold,
        ratios=choose,
        pairs=pairs,
        filter_size=filter_size,
        seed=seed,
        random_weights=random_weights,
    )
