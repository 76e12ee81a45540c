"""What `flpn ratios MODEL DATA` does."""

import json
from pathlib import Path

import keras
import yaml

from flpn_tf.charts import needs_matplotlib
from flpn_tf.data.crops import sample_crops
from flpn_tf.data.sources import locate, read_people
from flpn_tf.errors import InputError, printable
from flpn_tf.geometry import PADDING
from flpn_tf.models.catalogue import CATALOGUE
from flpn_tf.models.flpn import FLPN, RATIOS
from flpn_tf.models.load import load_network, network_path
from flpn_tf.models.pose_network import PoseNetwork
from flpn_tf.presets import is_preset
from flpn_tf.redundancy.measure import measure_likeness
from flpn_tf.redundancy.rule import Rule
from flpn_tf.redundancy.summary import summarise, table
from flpn_tf.redundancy.taps import tapped
from flpn_tf.runtime import files


def run(
    model,
    data,
    images=None,
    split: str | None = None,
    json_to: str | None = None,
    config: Path | None = None,
    figures: Path | None = None,
    *,
    layers: str,
    people: int,
    threshold: float,
    ratios: str,
    pairs: int,
    filter_size: int | None,
    seed: int,
    random_weights: bool,
) -> None:
    """Measures, prints a table and writes what is asked for.

    Args:
        model: a `.keras` file, preset or alias, or a name of the catalogue with `random_weights`.
        data, images, split: as for `read_people`.
        json_to: file for what `summarise` says and how it was measured, or `files.STANDARD_OUTPUT`.
        config: YAML to write for `flpn train`: the network with the recommended ratios.
        figures: folder for the pictures.
        layers, pairs, filter_size, seed: as of `measure_likeness`.
        people: how many crops.
        threshold, ratios: of the rule; the ratios between commas.
        random_weights: measure the network untrained.

    Raises:
        InputError: a bad model, data set or option, naming which, or an output that cannot be written.
    """
    rule = Rule(threshold, _numbers(ratios))
    if people < 1 or pairs < 1 or not 0 <= seed < 2**32:
        raise InputError(
            f"--people and --pairs must be 1 or more, --seed 0 or more. Received: {people}, {pairs}, {seed}"
        )
    if is_preset(model) and not (random_weights and str(model) in CATALOGUE):
        model = network_path(model)
    annotations, photos = locate(data, images, split)
    _check_outputs([model, annotations], photos, json_to, config, figures)
    network = open_model(model, random_weights, seed)
    stages = list(dict.fromkeys(tapped(network, layers)[1].values()))
    if config is not None and not (isinstance(network, FLPN) and len(stages) == len(RATIOS)):
        raise InputError(
            f"--config is of an FLPN's {len(RATIOS)} stages. Received: {type(network).__name__}, "
            f"{', '.join(stages)}"
        )
    source = read_people(annotations, images, split)
    if len(source) < people:
        raise InputError(f"{annotations}: has {len(source)} people; lower --people. Received: {people}")
    height, width = _size(network)
    padding = network.pose_spec().padding if isinstance(network, PoseNetwork) else PADDING
    crops = sample_crops(source.records, people, height, width, padding, seed)
    found = measure_likeness(network, crops, layers, pairs, filter_size=filter_size, seed=seed)
    summary = summarise(found, rule)
    result = {
        "model": Path(model).name,
        "model_sha256": files.sha256_of(Path(model)) if Path(model).is_file() else None,
        "random_weights": random_weights,
        "data": "/".join(source.source.absolute().parts[-2:]),
        "data_sha256": source.sha256,
        "people": people,
        "seed": seed,
        "pattern": layers,
        "pairs": pairs,
        "filter_size": filter_size,
        "threshold": rule.threshold,
        "ratios": list(rule.ratios),
        "negative_ssim": "counts as 0",
        **summary,
    }
    if figures is not None:
        from flpn_tf.redundancy.figures import draw

        pictures = draw(found, summary, network, crops[0], layers)
        figures.mkdir(parents=True, exist_ok=True)
        for name, content in pictures.items():
            files.write_atomically(figures / name, content)
    if config is not None:
        files.write_atomically(config, _fragment(network, result).encode())
    if json_to is not None:
        files.write_json(json_to, json.dumps(result, indent=1) + "\n")
    if json_to != files.STANDARD_OUTPUT:
        print(_about(result), table(summary, rule), sep="\n")


def open_model(model, random_weights: bool, seed: int = 0) -> keras.Model:
    """The model of a `.keras` file, any Keras model; or with new weights, then also of the catalogue.

    Raises:
        InputError: as `load_network`, or a name of the catalogue without `random_weights`.
    """
    keras.utils.set_random_seed(seed)
    build = CATALOGUE.get(str(model))
    if build is not None and not Path(model).exists():
        if not random_weights:
            raise InputError(
                f"{model}: is an architecture without weights; give a .keras file, or --random-weights"
            )
        return build.network(**build.arguments)
    if not Path(model).is_file():
        raise InputError(
            f"{model}: there is no such file; give a .keras model, a preset, or a name of flpn models "
            "with --random-weights"
        )
    network = load_network(model, kinds=(keras.Model,))
    return type(network).from_config(network.get_config()) if random_weights else network


def _size(network: keras.Model) -> tuple[int, int]:
    shapes = [tensor.shape for tensor in network.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or shapes[0][3] != 3:
        raise InputError(
            f"{network.name}: must take one image (B, H, W, 3) of a fixed size. Received: {shapes}"
        )
    return tuple(shapes[0][1:3])


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--choose must be whole numbers between commas. Received: {text}") from None


def _check_outputs(given: list, photos, json_to, config, figures) -> None:
    files.check_json_output(json_to)
    outputs = [path for path in (json_to, config) if path not in (None, files.STANDARD_OUTPUT)]
    if config is not None:
        files.check_writable(config, (".yaml", ".yml"))
    if figures is not None:
        from flpn_tf.redundancy.figures import FILES

        needs_matplotlib()
        if figures.exists() and not figures.is_dir():
            raise InputError(f"--figures must be a folder. Received: {figures}")
        if not figures.exists() and not figures.parent.is_dir():
            raise InputError(f"--figures: its parent folder does not exist. Received: {figures}")
        outputs += [figures / name for name in FILES]
        if figures.is_dir():
            for name in FILES:
                files.check_writable(figures / name)
    for place, output in enumerate(outputs):
        files.check_apart(output, [*given, *outputs[:place]])
        files.check_no_photo(output, photos)


def _about(result: dict) -> str:
    weights = "untrained, " if result["random_weights"] else ""
    place = f"{result['people']} people of {result['data']}, seed {result['seed']}"
    return printable(f"{result['model']}, {weights}{place}, SSIM from {result['threshold']} on is alike")


def _fragment(network: FLPN, result: dict) -> str:
    values = {"ratios": [entry["ratio"] for entry in result["stages"]]}
    values |= {"depth": network.depth, "width": network.width, "image_size": list(network.image_size)}
    values |= {"stem": network.stem, "head_filters": network.head_filters}
    values |= {"head_grouped": network.head_grouped}
    lines = [f"# flpn ratios: {_about(result)}."]
    if network.block == "smart":
        values |= {"global_context": network.global_context}
    else:
        lines.append(f"# Smart blocks in place of its {network.block} ones.")
    if unfit := [entry["stage"] for entry in result["stages"] if not entry["fits"]]:
        lines.append(f"# More maps are distinct than the smallest ratio leaves in {', '.join(unfit)}.")
    text = yaml.safe_dump({"model": values}, sort_keys=False, default_flow_style=None)
    return "\n".join([*lines, text])
