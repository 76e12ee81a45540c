"""Networks trained alike and measured: the paper's searches and ablations (tables 5 to 8)."""

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import keras

from flpn_tf.complexity import measure
from flpn_tf.data.sources import open_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.evaluation.joints import joint_pairs
from flpn_tf.evaluation.truth import open_truth
from flpn_tf.models.catalogue import CATALOGUE, Build
from flpn_tf.models.flpn import FLPN, RATIOS
from flpn_tf.runtime.files import sha256_of, write_atomically
from flpn_tf.skeleton import Skeleton
from flpn_tf.training.config import Config, ModelConfig
from flpn_tf.training.fit import identity_of, resolved, train
from flpn_tf.training.learning_rate import make_learning_rate
from flpn_tf.training.networks import build_model
from flpn_tf.training.run_config import refuse_other_run
from flpn_tf.training.session import MODEL

FILE = "metrics.json"
METRICS = {"coco": "AP", "mpii": "Mean", "lsp": "Mean"}  # what networks are compared by, by protocol


@dataclass(frozen=True)
class SearchList:
    """What to compare; `load_config` reads it.

    Attributes:
        networks: names of `flpn_tf.models.catalogue`, FLPNs all.
        ratios: intrinsic ratios per stage, each one FLPN-50 more.
        seeds: of the runs of each, in place of `train`'s.
        train: the config of a run; of its `model` only `width`, `image_size` and `head_filters`, which make
            all of them smaller.
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
        model = self.train.model
        smaller = {name: getattr(model, name) for name in ("width", "image_size", "head_filters")}
        if model != ModelConfig(**smaller):
            raise InputError(
                f"train.model must leave all but {', '.join(smaller)} to the networks. Received: {model}"
            )
        if self.train.validation.holdout:
            raise InputError(
                "train.validation.holdout has no use here: networks are measured on --validation. "
                f"Received: {self.train.validation.holdout}"
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


class Task(NamedTuple):
    """What networks are trained and measured on.

    Attributes:
        people: how many to train on.
        data: to train on, as `fit.train` takes it.
        validation: to measure on, with ground-truth boxes, without flip, as `evaluate` takes it.
        dataset: the protocol.
        skeleton: of the people to train on.
        identity, validation_sha256: of the two data sets.
    """

    people: int
    data: Path
    validation: Path
    dataset: str
    skeleton: Skeleton
    identity: str
    validation_sha256: str

    @property
    def metric(self) -> str:
        """What networks are compared by."""
        return METRICS[self.dataset]


def open_task(data, validation, dataset: str | None = None) -> Task:
    """Reads both data sets.

    Args:
        dataset: the protocol; by default that of the validation data's format.

    Raises:
        InputError: one that cannot be read or measured on; they share fewer than half of their joints.
    """
    if dataset not in (None, *METRICS):
        raise InputError(f"dataset must be one of {', '.join(METRICS)}. Received: {dataset!r}")
    people = open_people(data)
    truth = open_truth(validation, None, None, dataset, own=True)
    joint_pairs(truth.skeleton, people.skeleton)
    identity = identity_of(people, None)
    return Task(len(people), data, validation, truth.dataset, people.skeleton, identity, truth.source.sha256)


def train_all(chosen: SearchList, task: Task, output: Path) -> dict[str, dict]:
    """Trains every network of a list with every seed and measures them; the same call goes on.

    Args:
        output: folder; `<name>/seed_<seed>` in it is a run's, with its `metrics.json`.

    Returns:
        Name → {"params", "macs", "metrics": [of each seed, as `evaluate` gives them]}, of the networks as
        trained.

    Raises:
        InputError: as `fit.train` or `evaluate`, or a folder of another search.
    """
    schedule = chosen.train.schedule
    if task.people >= schedule.batch_size:  # else `train` says so
        make_learning_rate(schedule, task.people // schedule.batch_size)
    found, configs = {}, {}
    # All are built before the first is trained, so that one that cannot be is known at once.
    for name, build in chosen.builds().items():
        print(f"building {name} as it will be trained", file=sys.stderr, flush=True)
        model = dataclasses.replace(chosen.train.model, **build.arguments)
        configs[name] = dataclasses.replace(chosen.train, model=model)
        size = measure(build_model(model, task.skeleton))
        found[name] = {"params": size.params, "macs": size.macs, "metrics": []}
    keras.backend.clear_session()
    runs = []
    for seed in chosen.seeds:
        for name, config in configs.items():
            schedule = dataclasses.replace(config.schedule, seed=seed)
            runs.append((name, seed, dataclasses.replace(config, schedule=schedule)))
    for name, seed, config in runs:
        refuse_other_run(_folder(output, name, seed), task.identity, resolved(config))
    for number, (name, seed, config) in enumerate(runs, 1):
        print(f"{number}/{len(runs)} {name}, seed {seed}", file=sys.stderr, flush=True)
        found[name]["metrics"].append(_run(config, task, _folder(output, name, seed)))
        keras.backend.clear_session()
    return found


def _folder(output: Path, name: str, seed: int) -> Path:
    return Path(output) / name / f"seed_{seed}"


def _run(config: Config, task: Task, folder: Path) -> dict:
    model, kept = folder / MODEL, folder / FILE
    measured = {"validation": task.validation_sha256, "dataset": task.dataset}
    if kept.is_file() and model.is_file():
        try:
            stored = json.loads(kept.read_text())
            facts = {key: stored[key] for key in measured} | {"model_sha256": stored["model_sha256"]}
            metrics = stored["metrics"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{kept}: cannot be read; remove it") from error
        if facts == measured | {"model_sha256": sha256_of(model)}:
            return metrics
    else:
        model = train(config, task.data, folder)
    metrics = evaluate(model, task.validation, dataset=task.dataset).result["metrics"]
    facts = measured | {"model_sha256": sha256_of(model), "metrics": metrics}
    write_atomically(kept, (json.dumps(facts, indent=1) + "\n").encode())
    return metrics
