"""Networks trained alike and measured: the paper's searches and ablations (tables 5 to 8)."""

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import keras

from flpn_tf.complexity import measure
from flpn_tf.data.sources import open_people, read_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.models.catalogue import CATALOGUE, Build
from flpn_tf.models.flpn import FLPN, RATIOS
from flpn_tf.runtime.files import sha256_of, write_atomically
from flpn_tf.training.config import Config
from flpn_tf.training.config_file import dump_config
from flpn_tf.training.fit import identity_of, train
from flpn_tf.training.networks import build_model
from flpn_tf.training.session import MODEL

METRICS = "metrics.json"


@dataclass(frozen=True)
class SearchList:
    """What to compare; `load_config` reads it.

    Attributes:
        networks: names of `flpn_tf.models.catalogue`, FLPNs all.
        ratios: intrinsic ratios per stage, each one FLPN-50 more.
        seeds: of the runs of each, in place of `train`'s.
        train: the config of a run; what a network does not say of itself is in its `model`.
    """

    networks: tuple[str, ...] = ()
    ratios: tuple[tuple[int, ...], ...] = ()
    seeds: tuple[int, ...] = (0, 1)
    train: Config = field(default_factory=Config)

    def __post_init__(self):
        for name in self.networks:
            if name not in CATALOGUE or CATALOGUE[name].network is not FLPN:
                known = ", ".join(name for name, build in CATALOGUE.items() if build.network is FLPN)
                raise InputError(f"networks must be among {known}. Received: {name}")
        if not (self.networks or self.ratios):
            raise InputError("networks or ratios must name a network. Received: neither")
        for ratios in self.ratios:
            if len(ratios) != len(RATIOS) or min(ratios) < 1:
                raise InputError(
                    f"ratios must be {len(RATIOS)} numbers of 1 or more each. Received: {list(ratios)}"
                )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds must be different numbers. Received: {list(self.seeds)}")

    def builds(self) -> dict[str, Build]:
        """Name → network at the paper's size, each once; ratios of the catalogue have its name."""
        return {name: CATALOGUE[name] for name in self.networks} | dict(map(_of_ratios, self.ratios))


def _of_ratios(ratios: tuple[int, ...]) -> tuple[str, Build]:
    arguments = {} if ratios == RATIOS else {"ratios": ratios}
    for name, build in CATALOGUE.items():
        if (build.network, build.arguments) == (FLPN, arguments):
            return name, build
    return "flpn50-" + "-".join(map(str, ratios)), Build(FLPN, arguments)


def train_all(chosen: SearchList, data, validation, output, dataset: str | None = None) -> dict[str, dict]:
    """Trains every network of a list with every seed and measures them; the same call goes on.

    Args:
        data: to train on, as `fit.train` takes it.
        validation: to measure on, with ground-truth boxes, without flip, as `evaluate` takes it.
        output: folder; `<name>/seed_<seed>` in it is a run's, with its `metrics.json`.
        dataset: the protocol, as of `evaluate`.

    Returns:
        Name → {"params", "macs", "metrics": [of each seed, as `evaluate` gives them]}, of the networks as
        trained.

    Raises:
        InputError: as `fit.train` or `evaluate`, or a folder of another search.
    """
    people = open_people(data)
    facts = {"data": identity_of(people, None), "validation": read_people(validation).sha256}
    facts["dataset"] = dataset
    found, configs = {}, {}
    # All are built before the first is trained, so that one that cannot be is known at once.
    for name, build in chosen.builds().items():
        print(f"building {name} as it will be trained", file=sys.stderr, flush=True)
        model = dataclasses.replace(chosen.train.model, **build.arguments)
        configs[name] = dataclasses.replace(chosen.train, model=model)
        size = measure(build_model(model, people.skeleton))
        found[name] = {"params": size.params, "macs": size.macs, "metrics": []}
    keras.backend.clear_session()
    runs = [(name, seed) for seed in chosen.seeds for name in configs]
    for number, (name, seed) in enumerate(runs, 1):
        print(f"{number}/{len(runs)} {name}, seed {seed}", file=sys.stderr, flush=True)
        schedule = dataclasses.replace(configs[name].schedule, seed=seed)
        config = dataclasses.replace(configs[name], schedule=schedule)
        folder = Path(output) / name / f"seed_{seed}"
        found[name]["metrics"].append(_run(config, facts, data, validation, folder))
        keras.backend.clear_session()
    return found


def _run(config: Config, facts: dict, data, validation, folder: Path) -> dict:
    facts = facts | {"config": dump_config(config)}
    kept = folder / METRICS
    if kept.is_file():
        try:
            stored = json.loads(kept.read_text())
            metrics, digest = stored.pop("metrics"), stored.pop("model_sha256")
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise InputError(f"{kept}: cannot be read; remove it") from error
        if stored != facts:
            raise InputError(
                f"{folder}: holds a run of another config or data set; choose a new folder, or remove it"
            )
        if (folder / MODEL).is_file() and sha256_of(folder / MODEL) == digest:
            return metrics
    folder.mkdir(parents=True, exist_ok=True)
    model = train(config, data, folder)
    metrics = evaluate(model, validation, dataset=facts["dataset"]).result["metrics"]
    facts |= {"metrics": metrics, "model_sha256": sha256_of(model)}
    write_atomically(kept, (json.dumps(facts, indent=1) + "\n").encode())
    return metrics
