"""What a run says of itself on people it does not train on, and what it keeps."""

import dataclasses
import json
import os

import keras
import numpy as np
import pytest
import synthetic_people
from averaged_network import SIZE, averages, network, plain_batches, state
from helpers import run_python
from synthetic_people import SKELETON
from tiny_network import TinyNetwork

from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.evaluation.metrics import people_metrics
from flpn_tf.evaluation.predict import predict_people
from flpn_tf.models.load import load_network
from flpn_tf.models.pose_network import PoseNetwork, as_skeleton
from flpn_tf.runtime.estimator import PoseEstimator
from flpn_tf.skeleton import Skeleton
from flpn_tf.training import validation
from flpn_tf.training.loss import HeatmapLoss
from flpn_tf.training.snapshot import Snapshot
from flpn_tf.training.validation import Validation


@pytest.fixture(scope="module")
def people(data):
    return read_people(data)


@keras.saving.register_keras_serializable(package="flpn_tf_tests")
class ColourNetwork(PoseNetwork):
    """One layer, which can tell the joints by their colours."""

    ARGUMENTS = ("image_size",)

    def __init__(self, image_size, skeleton, **kwargs):
        skeleton = as_skeleton(skeleton, None)
        inputs = keras.Input((*image_size, 3))
        seen = keras.layers.AveragePooling2D(4)(keras.layers.Rescaling(1 / 127.5, -1.0)(inputs))
        super().__init__(inputs, keras.layers.Conv2D(len(skeleton), 1)(seen), skeleton, **kwargs)
        self.image_size = tuple(image_size)


def knowing_network():
    """Its average of the weights finds all joints, its weights none."""
    model = ColourNetwork(SIZE, SKELETON)
    model.compile(keras.optimizers.Adam(use_ema=True), loss=HeatmapLoss())
    model.optimizer.build(model.trainable_variables)
    kernel, bias = averages(model)
    kernel.assign(np.where(synthetic_people.COLOURS > 0, 1 / 3, -1 / 3).T[None, None])
    bias.assign(np.zeros(7))
    return model


def begin(model, people, output, every=1, metric="AP", batch_size=3, in_fit=9, **options):
    """A Validation as `fit` has it before the first epoch."""
    options = {"batches": lambda: plain_batches(people, model.codec, batch_size)} | options
    callback = Validation(people, output, every, metric, batch_size, **options)
    callback.set_params({"epochs": in_fit, "steps": 1})
    callback.set_model(model)
    callback.on_train_begin()
    return callback


def measure(callback, epoch=0):
    logs = {"loss": 1.0}
    callback.on_epoch_end(epoch, logs)
    assert logs.pop("loss") == 1
    return logs


def test_it_measures_what_would_be_delivered(people, tmp_path):
    """The moving average of the weights, by the estimator on the saved file, and the loss by numpy."""
    model = knowing_network()
    logs = measure(begin(model, people, tmp_path))
    saved = load_network(tmp_path / "best.keras")
    for weight, average in zip(saved.trainable_variables, averages(model), strict=True):
        np.testing.assert_array_equal(weight.numpy(), average.numpy())
    assert not saved.compiled
    poses = predict_people(PoseEstimator(tmp_path / "best.keras"), people.records)
    metrics = people_metrics(people, poses.keypoints, poses.scores, poses.areas)
    crops, heatmaps, weights = next(plain_batches(people, model.codec, 8))
    error = (saved.predict_on_batch(crops.astype("float32")) - heatmaps) ** 2
    loss = (0.5 * error.mean(axis=(1, 2)) * weights).mean()
    expected = {"val_AP": metrics["AP"], "val_PCK": metrics["PCK@0.2"], "val_loss": loss}
    assert logs == pytest.approx(expected, rel=1e-5)
    assert logs["val_PCK"] > 95
    assert logs["val_AP"] > 30


def test_it_is_what_flpn_evaluate_says_of_the_best(people, data, tmp_path):
    logs = measure(begin(knowing_network(), people, tmp_path))
    metrics = evaluate(tmp_path / "best.keras", data).result["metrics"]
    assert (logs["val_AP"], logs["val_PCK"]) == pytest.approx((metrics["AP"], metrics["PCK@0.2"]), abs=1e-4)


def test_the_trained_weights_are_untouched(people, tmp_path):
    model = network()
    before = state(model)
    measure(begin(model, people, tmp_path))
    for value, kept in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_the_trained_weights_come_back_after_an_error(monkeypatch):
    model = network()
    before = state(model)
    snapshot = Snapshot(model, 4)

    def failing(weights):
        assert np.abs(weights[0] - before[0]).max() > 0.01
        raise MemoryError

    monkeypatch.setattr(snapshot.network, "set_weights", failing)
    with pytest.raises(MemoryError):
        snapshot.update(model)
    for value, kept in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_without_an_average_the_weights_themselves_are_measured(people, tmp_path):
    model = network(ema=None)
    measure(begin(model, people, tmp_path))
    for one, other in zip(load_network(tmp_path / "best.keras").weights, model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_the_average_within_a_scaled_optimiser(people, tmp_path):
    """Mixed float16 wraps the optimiser."""
    model = network()
    inner = model.optimizer
    model.compile(keras.optimizers.LossScaleOptimizer(inner), loss=HeatmapLoss())
    measure(begin(model, people, tmp_path))
    saved = load_network(tmp_path / "best.keras")
    kept = [variable for variable in inner.variables if "average" in variable.path]
    np.testing.assert_array_equal(saved.trainable_variables[0].numpy(), kept[0].numpy())


@pytest.mark.parametrize("batch_size", [1, 8, 50])
def test_the_batch_size_has_no_part_in_it(people, tmp_path, batch_size):
    model = network()
    expected = measure(begin(model, people, tmp_path, batch_size=3))
    assert measure(begin(model, people, tmp_path, batch_size=batch_size)) == pytest.approx(expected, rel=1e-5)


def test_tf_data_is_the_source_by_default(people, tmp_path):
    model = knowing_network()
    expected = measure(begin(model, people, tmp_path))
    logs = measure(begin(model, people, tmp_path, batches=None))
    # Its crops differ by a grey level here and there.
    assert logs["val_loss"] == pytest.approx(expected["val_loss"], rel=0.01)
    assert logs["val_PCK"] == pytest.approx(expected["val_PCK"], abs=2)
    assert logs["val_AP"] == pytest.approx(expected["val_AP"], abs=5)


def test_in_fit(people, tmp_path, capsys):
    """Each third epoch and the last; what stands behind sees the values."""
    seen = []

    class Seen(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(sorted(logs))

    model = network()
    batch = next(plain_batches(people, model.codec, 8))
    callback = Validation(people, tmp_path, 3, "loss", 8, lambda: [batch])
    model.fit(*batch[:2], sample_weight=batch[2], epochs=4, verbose=0, callbacks=[callback, Seen()])
    both = ["loss", "val_AP", "val_PCK", "val_loss"]
    assert seen == [["loss"], ["loss"], both, both]
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "epoch 3/4 validation",
        "epoch 4/4 validation",
    ]


def test_the_last_epoch_is_measured_but_not_that_of_a_fit_that_is_part_of_a_run(people, tmp_path):
    assert measure(begin(network(), people, tmp_path, every=4, in_fit=3), epoch=2)
    assert measure(begin(network(), people, tmp_path, every=4, in_fit=3, epochs=9), epoch=2) == {}


def scripted(monkeypatch, name, values):
    """Every epoch's measurement is the next of `values`."""
    values = iter(values)
    monkeypatch.setattr(validation, "people_metrics", lambda *arguments: {"AP": None} | {name: next(values)})


def best(folder):
    stored = json.loads((folder / "best.json").read_text())
    return stored["metric"], stored["value"], stored["epoch"]


def test_only_what_is_better_is_kept(people, tmp_path, monkeypatch, capsys):
    scripted(monkeypatch, "AP", [None, 40.0, 30.0, 40.0, 41.0])
    model = network()
    callback = begin(model, people, tmp_path)
    kept = []
    for epoch in range(5):
        model.trainable_variables[0].assign(model.trainable_variables[0] + 1)
        averages(model)[0].assign(model.trainable_variables[0])
        assert measure(callback, epoch).get("val_AP") == [None, 40.0, 30.0, 40.0, 41.0][epoch]
        kept.append(best(tmp_path) if (tmp_path / "best.json").exists() else None)
    assert kept == [None, ("AP", 40, 2), ("AP", 40, 2), ("AP", 40, 2), ("AP", 41, 5)]
    weights = load_network(tmp_path / "best.keras").trainable_variables[0]
    np.testing.assert_array_equal(weights.numpy(), model.trainable_variables[0].numpy())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.json", "best.keras"]
    lines = capsys.readouterr().err.splitlines()
    assert ["the best AP so far" in line for line in lines] == [False, True, False, False, True]


def test_pck_may_decide(people, tmp_path, monkeypatch):
    scripted(monkeypatch, "PCK@0.2", [40.0, 30.0])
    callback = begin(network(), people, tmp_path, metric="PCK")
    for epoch in range(2):
        measure(callback, epoch)
    assert best(tmp_path) == ("PCK", 40, 1)


def test_a_lower_loss_is_better(people, tmp_path):
    model = network()
    callback = begin(model, people, tmp_path, metric="loss")
    kernel, bias = averages(model)[-2:]
    kernel.assign(np.zeros(kernel.shape))
    found = []
    for epoch, offset in enumerate([1.0, 5.0, 0.1]):
        bias.assign(np.full(bias.shape, offset))
        found.append(measure(callback, epoch)["val_loss"])
    assert found[1] > found[0] > found[2]
    assert best(tmp_path) == ("loss", found[2], 3)


def test_a_run_that_goes_on_compares_with_its_best(people, tmp_path, monkeypatch):
    scripted(monkeypatch, "AP", [40.0, 39.0, 41.0])
    model = network()
    measure(begin(model, people, tmp_path), 4)
    callback = begin(model, people, tmp_path)
    measure(callback, 2)
    assert best(tmp_path) == ("AP", 40, 5)
    measure(callback, 3)
    assert best(tmp_path) == ("AP", 41, 4)


@pytest.mark.parametrize("lost", ["best.keras", "best.json"])
def test_one_file_of_two_counts_for_nothing(people, tmp_path, monkeypatch, lost):
    scripted(monkeypatch, "AP", [40.0, 39.0])
    measure(begin(network(), people, tmp_path))
    (tmp_path / lost).unlink()
    measure(begin(network(), people, tmp_path), 1)
    assert best(tmp_path) == ("AP", 39, 2)
    assert (tmp_path / "best.keras").exists()


def test_a_damaged_best_is_named(people, tmp_path):
    measure(begin(network(), people, tmp_path))
    for content in (b"", b"{", b"[]", b'{"metric": "AP", "value": null}', b"\xff"):
        (tmp_path / "best.json").write_bytes(content)
        with pytest.raises(InputError, match=r"best\.json: does not say"):
            begin(network(), people, tmp_path)


def test_another_metrics_best_is_no_hindrance(people, tmp_path, monkeypatch):
    scripted(monkeypatch, "AP", [40.0, 40.0])
    measure(begin(network(), people, tmp_path))
    measure(begin(network(), people, tmp_path, metric="loss"))
    assert best(tmp_path)[0] == "loss"


def in_order(people, joints):
    """The people with these joints of theirs, in this order."""
    names, sigmas = ([values[j] for j in joints] for values in (SKELETON.names, SKELETON.sigmas))
    skeleton = Skeleton("other", names, (), (), sigmas)
    records = [
        dataclasses.replace(record, keypoints=record.keypoints[list(joints)], skeleton=skeleton)
        for record in people.records
    ]
    return dataclasses.replace(people, records=records)


def test_joints_meet_by_name(people, tmp_path, capsys):
    model = network()
    expected = measure(begin(model, people, tmp_path))
    turned = in_order(people, [3, 0, 6, 5, 1, 2, 4])
    assert measure(begin(model, turned, tmp_path)) == pytest.approx(expected, rel=1e-5)
    fewer = in_order(people, [4, 1, 2, 0])
    few = measure(begin(model, fewer, tmp_path))
    assert few.keys() == expected.keys()
    assert few["val_loss"] != pytest.approx(expected["val_loss"], rel=0.01)
    assert "leaves out" not in capsys.readouterr().err


def test_joints_that_the_model_has_not_are_left_out_and_named(people, tmp_path, capsys):
    expected = measure(begin(network(skeleton=SKELETON), in_order(people, [0, 1, 2, 3, 4]), tmp_path))
    model = network()
    head = model.layers[-1].name
    fewer = Skeleton("five", SKELETON.names[:5], (), (), SKELETON.sigmas[:5])
    small = network(skeleton=fewer)
    for layer, source in zip(small.layers, model.layers, strict=True):
        weights = source.get_weights()
        layer.set_weights([w[..., :5] for w in weights] if source.name == head else weights)
    for average, weight in zip(averages(small), small.trainable_variables, strict=True):
        average.assign(weight * 0.5 + 0.01)
    capsys.readouterr()
    assert measure(begin(small, people, tmp_path)) == pytest.approx(expected, rel=1e-5)
    line = "validation leaves out what the model has no joint for: left_ankle, right_ankle"
    assert line in capsys.readouterr().err


def test_too_few_common_joints_is_refused(people, tmp_path):
    names = ("nose", "left_hip", "a", "b", "c", "d")
    with pytest.raises(InputError, match="share 2 joints, fewer than half"):
        begin(network(skeleton=Skeleton("other", names, (), (), (0.05,) * 6)), people, tmp_path)


def test_pck_without_torsos_is_refused(people, tmp_path):
    toes = in_order(people, [0, 1, 2])
    with pytest.raises(InputError, match="nobody has a labelled torso"):
        Validation(toes, tmp_path, 1, "PCK", 4)
    assert measure(begin(network(), toes, tmp_path)).keys() == {"val_AP", "val_loss"}


def test_a_damaged_photo_is_named(tmp_path):
    data = synthetic_people.write(tmp_path / "data", synthetic_people.document())
    photo = data / "images" / "5.png"
    photo.write_bytes(photo.read_bytes()[:200])
    people = read_people(data)
    callback = begin(network(), people, tmp_path, batches=None)
    with pytest.raises(InputError, match=r"5\.png.*: the photo cannot be decoded"):
        measure(callback)


def test_a_full_disk_leaves_the_best_as_it_was(people, tmp_path, monkeypatch):
    scripted(monkeypatch, "AP", [40.0, 50.0])
    callback = begin(network(), people, tmp_path)
    measure(callback)
    before = (tmp_path / "best.keras").read_bytes()

    def full(self, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(TinyNetwork, "save", full)
    with pytest.raises(OSError, match="No space left"):
        measure(callback, 1)
    assert (tmp_path / "best.keras").read_bytes() == before
    assert best(tmp_path) == ("AP", 40, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.json", "best.keras"]


MIRRORED = """
    import numpy as np, tensorflow as tf
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    from pathlib import Path
    import averaged_network as n
    import test_validation as t
    from flpn_tf.data.sources import read_people

    people = read_people(DATA)
    alone = t.measure(t.begin(n.network(), people, Path(OUT)))
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = n.network()
    copies = lambda: [
        np.array(copy) for v in [*model.weights, *model.optimizer.variables]
        for copy in strategy.experimental_local_results(v.value)
    ]
    before = copies()
    assert len(before) == 2 * len(model.weights) + 2 * len(model.optimizer.variables)
    callback = t.begin(model, people, Path(OUT))
    mirrored = t.measure(callback)
    assert all(np.array_equal(a, b) for a, b in zip(before, copies(), strict=True))
    assert mirrored.keys() == alone.keys()
    assert np.allclose(list(mirrored.values()), list(alone.values()), rtol=1e-5), (mirrored, alone)
    batch = next(n.plain_batches(people, model.codec, 8))
    options = {"sample_weight": batch[2], "epochs": 2, "batch_size": 8, "verbose": 0, "callbacks": [callback]}
    run = model.fit(*batch[:2], **options)
    # `fit` ends with the average in the weights' place: what the last epoch measured.
    final = n.network(ema=None)
    final.set_weights(model.get_weights())
    for name, value in t.measure(t.begin(final, people, Path(OUT))).items():
        assert np.isclose(run.history[name][-1], value, rtol=1e-5), (name, run.history, value)
    print("ok")
"""

JAX = """
    import sys
    sys.modules["tensorflow"] = None  # nobody needs it
    import numpy as np
    from pathlib import Path
    import keras
    from flpn_tf.data.sources import read_people
    from flpn_tf.models.pose_network import PoseNetwork, as_skeleton
    from flpn_tf.training.loss import HeatmapLoss
    from flpn_tf.training.validation import Validation

    class Network(PoseNetwork):
        ARGUMENTS = ("image_size",)

        def __init__(self, image_size, skeleton, **kwargs):
            inputs = keras.Input((*image_size, 3))
            x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 4, 4)(inputs))
            skeleton = as_skeleton(skeleton, None)
            super().__init__(inputs, keras.layers.Conv2D(7, 1)(x), skeleton, **kwargs)
            self.image_size = image_size

    people = read_people(DATA)
    model = Network((64, 64), people.skeleton)
    model.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5), loss=HeatmapLoss())
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (8, 64, 64, 3), np.uint8)
    heatmaps, weights = rng.uniform(size=(8, 16, 16, 7)).astype("float32"), np.ones((8, 7), "float32")
    callback = Validation(people, Path(OUT), 1, "loss", 3, lambda: [
        (crops[i : i + 3], heatmaps[i : i + 3], weights[i : i + 3]) for i in (0, 3, 6)
    ])
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append([np.array(v) for v in [*self.model.weights, *self.model.optimizer.variables]])
            self.logs = dict(logs)

    watch = Watch()

    def endless():
        while True:
            yield crops, heatmaps, weights

    model.fit(endless(), steps_per_epoch=2, epochs=3, verbose=0, callbacks=[Watch(), callback, watch])
    for before, after in zip(seen[::2], seen[1::2], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert not np.array_equal(seen[0][0], seen[2][0])
    # `fit` ends with the average in the weights' place: what the last epoch measured.
    loss = (0.5 * (model.predict_on_batch(crops) - heatmaps) ** 2).mean()
    assert abs(watch.logs["val_loss"] - loss) < 1e-5 * loss, (watch.logs, loss)
    print("ok")
"""


@pytest.mark.parametrize(
    ("script", "backend"), [(MIRRORED, "tensorflow"), (JAX, "jax")], ids=["mirrored", "jax"]
)
def test_under_a_strategy_and_another_backend(data, tmp_path, monkeypatch, script, backend):
    """In a process of its own: weights back bit for bit on all devices, the same numbers."""
    if backend == "jax":
        pytest.importorskip("jax")
    here = os.path.dirname(__file__)  # noqa: PTH120
    paths = [here, os.path.dirname(here), *filter(None, [os.environ.get("PYTHONPATH")])]  # noqa: PTH120
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    script = script.replace("DATA", repr(str(data))).replace("OUT", repr(str(tmp_path)))
    assert run_python(script, tmp_path, KERAS_BACKEND=backend) == "ok\n"
