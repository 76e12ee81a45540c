"""`flpn data …`: parsing only, as in `flpn_tf.cli`."""

from pathlib import Path
from typing import Annotated

import typer

from flpn_tf.errors import InputError
from flpn_tf.frameworks import needs_tensorflow

app = typer.Typer(
    name="data",
    help="Check, show, merge and prepare data sets.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Data = Annotated[
    Path, typer.Argument(help="Folder of a COCO-format, MPII or LSP data set, or its annotation file.")
]
Images = Annotated[
    Path | None, typer.Option(help="Folder of the photos; default: images/ beside the annotations.")
]
Split = Annotated[str | None, typer.Option(help="train, test, valid or all, for MPII and LSP.")]


@app.command()
def check(
    data: Data,
    images: Images = None,
    split: Split = None,
    quick: Annotated[bool, typer.Option("--quick", help="Read the photos' headers only.")] = False,
    json: Annotated[str | None, typer.Option(help="File, or - for standard output.")] = None,
) -> None:
    """Find what is wrong with a data set; exit code 1 where something is."""
    from flpn_tf.data import check_command

    raise typer.Exit(check_command.run(data, images, split, quick, json))


@app.command()
def show(
    data: Data,
    out: Annotated[Path, typer.Option(help="Picture, .png or .jpg.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML whose augmentation to show; default: the paper's.")
    ] = None,
    images: Images = None,
    split: Split = None,
    people: Annotated[int, typer.Option(help="Rows of the sheet.")] = 6,
    draws: Annotated[int, typer.Option(help="Augmented crops of each.")] = 4,
    image_size: Annotated[
        str | None, typer.Option(help="Of a crop, HEIGHTxWIDTH; default: the config's, or 256x192.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the choice of people and the augmentation.")] = 0,
) -> None:
    """Draw people as training sees them, before and after augmentation."""
    needs_tensorflow()
    from flpn_tf.data import show

    shape = None if image_size is None else size(image_size)
    show.run(data, out, config, images, split, people, draws, shape, seed)


@app.command()
def merge(
    out: Annotated[Path, typer.Argument(help="COCO json to write.")],
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA[*N]",
            help="As of flpn data check; *N, which a shell wants quoted, lists its people N times.",
        ),
    ],
    root: Annotated[
        Path | None, typer.Option(help="Folder of all photos; default: the deepest that holds them.")
    ] = None,
) -> None:
    """Write one COCO json of several data sets, to train on all of them; copies no photo."""
    from flpn_tf.data import merge_command

    merge_command.run(out, data, root)


@app.command()
def prepare(
    data: Data,
    output: Annotated[str, typer.Argument(help="Folder to make; the same command goes on in it.")],
    images: Annotated[
        str | None, typer.Option(help="Folder of the photos; default: images/ beside the annotations.")
    ] = None,
    split: Split = None,
    whole_photos: Annotated[
        bool, typer.Option("--whole-photos", help="Store whole photos, not the part around each person.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out what is bad, and list it in the manifest.")
    ] = False,
    image_size: Annotated[str, typer.Option(help="Of the network's input, HEIGHTxWIDTH.")] = "256x192",
    rotation: Annotated[float, typer.Option(help="Largest rotation to keep room for, degrees.")] = 40.0,
    scale: Annotated[float, typer.Option(help="Largest scale change to keep room for, below 1.")] = 0.3,
    translation: Annotated[float, typer.Option(help="Largest shift to keep room for, of the box.")] = 0.0,
    half_body: Annotated[float, typer.Option(help="0 keeps no room for the half-body augmentation.")] = 1.0,
    detail: Annotated[
        float, typer.Option(help="Stored pixels per input pixel, at most; finer photos are shrunk.")
    ] = 2.0,
    quality: Annotated[int, typer.Option(help="Of a JPEG that is encoded anew, 1 to 100.")] = 95,
    shard_size: Annotated[int, typer.Option(help="Records a file.")] = 1024,
    seed: Annotated[int, typer.Option(help="Of the stored order.")] = 0,
    jobs: Annotated[int | None, typer.Option(help="Processes; default: one a processor.")] = None,
    beam: Annotated[
        str | None, typer.Option(help="Apache Beam's options: run as a pipeline (extra beam).")
    ] = None,
) -> None:
    """Write TFRecords that training reads at full speed; goes on where it was interrupted."""
    needs_tensorflow()
    from flpn_tf.data.augment import Augmentation
    from flpn_tf.data.prepare import prepare
    from flpn_tf.data.stored_photo import StoredPhoto

    reach = Augmentation(rotation=rotation, scale=scale, translation=translation, half_body=half_body)
    options = StoredPhoto(whole_photos, size(image_size), reach=reach, detail=detail, quality=quality)
    arguments = (data, output, options, images, split, skip_bad, shard_size, seed)
    if beam is None:
        prepared = prepare(*arguments, jobs)
        people, files, stored = prepared.people, len(prepared.shards), prepared.bytes
        bad = prepared.bad
    elif jobs is not None:
        raise InputError("--jobs is for one machine; with --beam its options say how many workers there are")
    else:
        from flpn_tf.data.prepare_beam import prepare_beam

        manifest = prepare_beam(*arguments, beam)
        people, files, bad = manifest["people"], len(manifest["shards"]), len(manifest["bad"])
        stored = sum(shard["bytes"] for shard in manifest["shards"])
    left_out = f", {bad} bad entries left out, see its manifest.json" if bad else ""
    print(f"{people} people in {files} files, {stored / 1e6:.1f} MB: {output}{left_out}")


def size(text: str) -> tuple[int, int]:
    """(height, width) of "256x192".

    Raises:
        InputError: another text.
    """
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise InputError(f"--image-size must be HEIGHTxWIDTH, as in 256x192. Received: {text!r}")
    return int(height), int(width)
