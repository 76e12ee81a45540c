from pathlib import Path

import pytest
import yaml

import flpn_tf.training
from flpn_tf.data.augment import Augmentation
from flpn_tf.errors import InputError
from flpn_tf.models import FLPN, LPN, SimpleBaseline
from flpn_tf.training.config import (
    ComputeConfig,
    Config,
    ModelConfig,
    ScheduleConfig,
    TeacherConfig,
    ValidationConfig,
)
from flpn_tf.training.config_file import dump_config, load_config, override_config
from flpn_tf.training.networks import build_model
from flpn_tf.training.optimizer import make_optimizer
from flpn_tf.training.pretrain import PretrainConfig

CONFIGS = sorted((Path(flpn_tf.training.__file__).parent / "configs").glob("*.yaml"))


def load(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return load_config(path)


def test_defaults_are_the_papers_training(tmp_path):
    config = load(tmp_path, "")
    assert config == Config()
    assert config.model == ModelConfig("flpn", 50, None, (2, 8, 2, 2), (256, 192), 1.0, 256)
    assert config.augmentation == Augmentation(rotation=40, scale=0.3, flip=0.5)
    schedule = config.schedule
    assert (schedule.epochs, schedule.learning_rate, schedule.drops) == (140, 1e-3, (90, 120))


def test_dumped_configs_load_as_themselves(tmp_path):
    config = Config(
        ModelConfig("flpn", 101, "ghost", (4, 4, 4, 4), (64, 96), 0.5, 64),
        Augmentation(10.0, 0.1, 0.25, 0.1, 0.3, 0.2, 0.2, 0.2, 10.0),
        ScheduleConfig(3, 4, "muon", 1e-5, "cosine", (), 5, 0.9, 1.0, 0.01, True, 2, 7),
        ComputeConfig("mixed_bfloat16", True, "mirrored", "host", 7),
        ValidationConfig(5, "PCK", 0.02),
        TeacherConfig("teacher.tflite", 0.5),
    )
    assert load(tmp_path, dump_config(config)) == config
    assert load(tmp_path, dump_config(Config())) == Config()


def test_a_part_of_a_section_keeps_the_other_defaults(tmp_path):
    config = load(tmp_path, "schedule: {epochs: 5, learning_rate: 1e-4, ema: 0}\nmodel: {width: 1}")
    assert config.schedule == ScheduleConfig(epochs=5, learning_rate=1e-4, ema=0.0)
    assert isinstance(config.model.width, float)


def test_overrides_come_before_the_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("schedule: {schedule: cosine, warmup_steps: 5, drops: []}\n")
    config = load_config(
        path, ["schedule.schedule=step", "schedule.warmup_steps=0", "model.image_size=[64, 64]"]
    )
    assert config.schedule == ScheduleConfig(drops=())
    assert config.model.image_size == (64, 64)


WRITTEN = "an override is written section.key=value or, of no section, key=value. Received"
OVERRIDES = {
    "schedule.epoch=3": "unknown key schedule.epoch; did you mean epochs?",
    "shedule.epochs=3": "unknown key shedule; did you mean schedule?",
    "schedule.epochs=many": "schedule.epochs must be a whole number. Received: 'many'",
    "schedule.epochs": f"{WRITTEN}: schedule.epochs",
    "epochs=3": f"{WRITTEN}: epochs=3",
    "model.image_size=[1": "model.image_size=[1: is not YAML",
    "schedule.seed=2020-13-45": "schedule.seed=2020-13-45: is not YAML",
    "qat.x=1": f"{WRITTEN}: qat.x=1",
    "compute.jit=1": "compute.jit must be true or false. Received: 1",
    "compute.precision=float8": "compute.precision must be one of float32, mixed_bfloat16, mixed_float16",
    "compute.strategy=tpu": "compute.strategy must be one of auto, one_device, mirrored, multi_worker",
    "compute.augment_on=gpu": "compute.augment_on must be one of auto, host, device. Received: 'gpu'",
    "compute.checkpoint_steps=-1": "compute.checkpoint_steps must be at least 0. Received: -1",
    "schedule.rounds=0": "schedule.rounds must be above 0. Received: 0",
    "validation.every=-1": "validation.every must be at least 0. Received: -1",
    "validation.metric=mAP": "validation.metric must be one of AP, PCK, loss. Received: 'mAP'",
    "validation.holdout=1": "validation.holdout must be at least 0 and below 1. Received: 1.0",
    "teacher.weight=1": "teacher.model must be given",
    "teacher.modle=a.keras": "unknown key teacher.modle; did you mean model?",
    "model.network=hrnet": "model.network must be one of flpn, simple_baseline, lpn. Received: 'hrnet'",
}


def test_a_teacher_by_overrides():
    config = override_config(Config(), ["teacher.model=a.keras", "teacher.weight=2"])
    assert config.teacher == TeacherConfig("a.keras", 2.0)
    assert override_config(config, ["teacher.weight=3"]).teacher == TeacherConfig("a.keras", 3.0)
    assert Config().teacher is None


@pytest.mark.parametrize(("override", "message"), OVERRIDES.items())
def test_bad_overrides(override, message):
    with pytest.raises(InputError) as caught:
        override_config(Config(), [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "network"),
    [
        ({"network": "simple_baseline"}, SimpleBaseline),
        ({"network": "simple_baseline", "block": "ghost"}, SimpleBaseline),
        ({"network": "lpn"}, LPN),
        ({"block": "mobilenetv3"}, FLPN),
    ],
)
def test_networks(arguments, network):
    model = build_model(ModelConfig(image_size=(64, 64), **arguments), skeleton=None)
    assert type(model) is network
    assert arguments.get("block") in (None, getattr(model, "block", None))


@pytest.mark.parametrize("arguments", [{"network": "lpn", "block": "ghost"}, {"block": "no such"}])
def test_blocks_that_do_not_fit(arguments):
    with pytest.raises(InputError, match="Received: "):
        build_model(ModelConfig(image_size=(64, 64), **arguments), skeleton=None)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs(path):
    """Each loads, says its command and cost, and its network and optimiser can be made."""
    command, kind = ("pretrain", PretrainConfig) if path.name.startswith("pretrain") else ("train", Config)
    config = load_config(path, kind=kind)
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(f"flpn {command} training/configs/{path.name} " in line for line in header)
    assert any("Cost: " in line for line in header)
    assert any(
        "Reache" in line or "Not trained here" in line or "not trained here" in line for line in header
    )
    model = build_model(config.model, skeleton=None)
    make_optimizer(config.schedule, 10_000, model)


def test_there_are_shipped_configs():
    assert CONFIGS


BAD = [
    ("schedule: {epoch: 5}", "unknown key schedule.epoch; did you mean epochs?"),
    ("shedule: {}", "unknown key shedule; did you mean schedule?"),
    ("model: {qqq: 1}", "unknown key model.qqq; there are network, depth"),
    ("1: 2", "unknown key 1; there are"),
    ("[]", "a config must be a mapping"),
    ("false", "a config must be a mapping"),
    ("model: 5", "model must be a mapping"),
    ("model:", "model must be a mapping"),
    ("model: {depth: fifty}", "model.depth must be a whole number. Received: 'fifty'"),
    ("model: {depth: 50.5}", "model.depth must be a whole number. Received: 50.5"),
    ("model: {depth: true}", "model.depth must be a whole number. Received: True"),
    ("model: {ratios: 2}", "model.ratios must be a list. Received: 2"),
    ("model: {ratios: [2, x, 2, 2]}", "model.ratios[1] must be a whole number. Received: 'x'"),
    ("model: {ratios: [2, 0, 2, 2]}", "model.ratios must be above 0"),
    ("model: {image_size: [64]}", "model.image_size must be [height, width]. Received: [64]"),
    ("model: {width: 0}", "model.width must be above 0. Received: 0.0"),
    ("model: {head_filters: 0}", "model.head_filters must be above 0"),
    ("augmentation: {scale: 1}", "augmentation.scale must be"),
    ("schedule: {learning_rate: fast}", "schedule.learning_rate must be a finite number. Received: 'fast'"),
    ("schedule: {learning_rate: .nan}", "schedule.learning_rate must be a finite number. Received: nan"),
    ("schedule: {learning_rate: .inf}", "schedule.learning_rate must be a finite number. Received: inf"),
    ("schedule: {learning_rate: 0}", "schedule.learning_rate must be above 0"),
    ("schedule: {epochs: 0}", "schedule.epochs must be above 0. Received: 0"),
    ("schedule: {epochs: .inf}", "schedule.epochs must be a whole number"),
    ("schedule: {batch_size: -1}", "schedule.batch_size must be above 0. Received: -1"),
    ("schedule: {schedule: linear}", "schedule.schedule must be one of step, cosine. Received: 'linear'"),
    ("schedule: {optimizer: sgd}", "schedule.optimizer must be one of adam, muon. Received: 'sgd'"),
    ("schedule: {schedule: 5}", "schedule.schedule must be a text. Received: 5"),
    ("schedule: {drops: [20, 10]}", "schedule.drops must be rising epochs above 0. Received: [20, 10]"),
    ("schedule: {drops: [0]}", "schedule.drops must be rising epochs above 0. Received: [0]"),
    ("schedule: {warmup_steps: 5}", "schedule.warmup_steps is at least 0, and 0 for the step schedule"),
    ("schedule: {ema: 1}", "schedule.ema must be null, or at least 0 and below 1. Received: 1.0"),
    ("schedule: {seed: -1}", "schedule.seed must be at least 0"),
    ("a: [", "is not YAML"),
    ("a: \x00", "is not YAML"),
    ("a: 2001-99-99", "is not YAML"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_bad_configs(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    assert "c.yaml: " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0 not text")
    for path, message in (
        (tmp_path / "photo.jpg", "is not YAML"),
        (tmp_path / "none.yaml", "cannot be read"),
    ):
        with pytest.raises(InputError, match=message):
            load_config(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 51}, "model: depth must be"),
        ({"image_size": (100, 64)}, "model: image_size must be multiples of 32"),
        ({"ratios": (2, 2)}, "model: ratios needs one value per stage"),
    ],
)
def test_networks_that_cannot_be_built(changes, message):
    with pytest.raises(InputError, match=message):
        build_model(ModelConfig(**{"width": 0.25, "image_size": (64, 64)} | changes), skeleton=None)


def test_dumped_yaml_is_plain():
    assert yaml.safe_load(dump_config(Config()))["model"]["ratios"] == [2, 8, 2, 2]
