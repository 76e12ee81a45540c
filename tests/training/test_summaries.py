"""What TensorBoard gets to see."""

import sys

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from averaged_network import SIZE, averages, network, plain_batches, state
from helpers import randomise
from synthetic_people import SKELETON
from tiny_network import TinyNetwork

from flpn_tf.data.contact_sheet import LINE, place
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.runtime.draw import draw_joints
from flpn_tf.training.loss import HeatmapLoss
from flpn_tf.training.summaries import Summaries, people_sheet

SHEET = place(4, 4, (256, 256))  # crops of 64x64 are shown four times as large


@pytest.fixture(scope="module")
def people(data):
    return read_people(data)


@pytest.fixture(scope="module")
def batch(people):
    """All eight people."""
    return next(plain_batches(people, TinyNetwork(SIZE, SKELETON).codec, 8))


class Added(keras.callbacks.Callback):
    """Puts a number into the logs, as Validation does."""

    def on_epoch_end(self, epoch, logs=None):
        logs["val_AP"] = 10.0 * epoch
        self.last = dict(logs)


def fit(batch, output, first=0, epochs=3, **options):
    """Two steps an epoch; returns the logs of the last."""
    model = randomise(TinyNetwork(SIZE, SKELETON))
    rate = keras.optimizers.schedules.PolynomialDecay(0.01, 100)
    model.compile(keras.optimizers.Adam(rate), loss=HeatmapLoss())
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(2 * first)
    options = {"every": 2, "batches": lambda: iter([batch])} | options
    added = Added()
    crops, heatmaps, weights = batch
    model.fit(
        crops,
        heatmaps,
        sample_weight=weights,
        batch_size=4,
        initial_epoch=first,
        epochs=epochs,
        verbose=0,
        callbacks=[added, Summaries(output, 4, **options)],
    )
    return added.last


def events(output):
    """{tag: {step: value}} over all files, by TensorFlow's own reader; a picture is its array, RGB."""
    found = {}
    for file in sorted((output / "tensorboard").iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                content = tf.make_ndarray(value.tensor)
                if value.metadata.plugin_data.plugin_name == "images":
                    width, height, png = content.tolist()
                    content = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
                    assert content.shape[:2] == (int(height), int(width))
                assert event.step not in found.setdefault(value.tag, {})
                found[value.tag][event.step] = content
    return found


def test_numbers_each_epoch_and_pictures_now_and_then(batch, tmp_path):
    last = fit(batch, tmp_path)
    found = events(tmp_path)
    assert sorted(found) == ["images_per_second", "learning_rate", "loss", "people", "val_AP"]
    assert found["val_AP"] == {2: 0, 4: 10, 6: 20}
    assert list(found["loss"]) == list(found["images_per_second"]) == [2, 4, 6]
    assert found["loss"][6] == pytest.approx(last["loss"])
    assert found["images_per_second"][6] > 0
    expected = {
        2: 0.01 * 0.98 + 0.0001 * 0.02,
        4: 0.01 * 0.96 + 0.0001 * 0.04,
        6: 0.01 * 0.94 + 0.0001 * 0.06,
    }
    assert found["learning_rate"] == pytest.approx(expected)
    assert {step: picture.shape for step, picture in found["people"].items()} == {
        4: (*SHEET, 3),
        6: (*SHEET, 3),
    }


def test_a_run_that_goes_on_adds_to_it(batch, tmp_path):
    fit(batch, tmp_path, epochs=2)
    before = {path: path.read_bytes() for path in (tmp_path / "tensorboard").iterdir()}
    fit(batch, tmp_path, first=2, epochs=3)
    found = events(tmp_path)
    assert list(found["loss"]) == [2, 4, 6]
    assert list(found["people"]) == [4, 6]
    assert all(path.read_bytes() == content for path, content in before.items())


def test_without_people_there_are_numbers_alone(batch, tmp_path):
    fit(batch, tmp_path, epochs=1, batches=None)
    assert sorted(events(tmp_path)) == ["images_per_second", "learning_rate", "loss", "val_AP"]


def test_each_epoch_is_on_disk_at_its_end(batch, tmp_path):
    """A run that is killed loses none of them: the file is read while the writer is open."""
    summaries = begin(network(), tmp_path, batch)
    end_epoch(summaries, 0)
    assert events(tmp_path)["loss"] == {0: 0.5}


def test_tensorboard_reads_it(batch, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    fit(batch, tmp_path, epochs=2)
    fit(batch, tmp_path, first=2, epochs=3)
    reader = accumulator.EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"tensors": 0})
    reader.Reload()
    assert [event.step for event in reader.Tensors("loss")] == [2, 4, 6]
    assert [event.step for event in reader.Tensors("people")] == [4, 6]
    assert reader.SummaryMetadata("people").plugin_data.plugin_name == "images"
    assert reader.SummaryMetadata("val_AP").plugin_data.plugin_name == "scalars"


def begin(model, output, batch, **options):
    """Summaries as `fit` has it before the first epoch's end."""
    options = {"every": 1, "batches": lambda: iter([batch])} | options
    summaries = Summaries(output, 4, **options)
    summaries.set_params({"epochs": 9})
    summaries.set_model(model)
    summaries.on_train_begin()
    return summaries


def end_epoch(summaries, epoch):
    summaries.on_epoch_begin(epoch)
    summaries.on_train_batch_end(0)
    summaries.on_epoch_end(epoch, {"loss": 0.5})


def test_the_predictions_are_of_the_average_and_the_weights_are_untouched(batch, tmp_path):
    model = network()
    before = state(model)
    end_epoch(begin(model, tmp_path / "one", batch), 0)
    for value, kept in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(value, kept)
    delivered = network()
    delivered.optimizer.finalize_variable_values(delivered.trainable_variables)
    predicted = delivered.predict_on_batch(batch[0][:4].astype("float32"))
    crops, heatmaps, weights = (part[:4] for part in batch)
    sheet = people_sheet(crops, (heatmaps, weights, SKELETON), (predicted, SKELETON), model.codec)
    np.testing.assert_array_equal(events(tmp_path / "one")["people"][0], sheet)
    averages(model)[-1].assign(averages(model)[-1] + 0.5)
    end_epoch(begin(model, tmp_path / "other", batch), 0)
    assert (events(tmp_path / "other")["people"][0] != sheet).any()


def test_fewer_people_than_rows(batch, tmp_path):
    two = tuple(part[:2] for part in batch)
    end_epoch(begin(network(), tmp_path, two), 0)
    assert events(tmp_path)["people"][0].shape == (*place(2, 4, (256, 256)), 3)


def cells(sheet, size, row=0):
    """The four pictures of a row."""
    corners = [place(row, column, size) for column in range(4)]
    return [sheet[top : top + size[0], left : left + size[1]] for top, left in corners]


def test_a_right_prediction_looks_like_the_target(batch):
    crops, heatmaps, weights = batch
    codec = TinyNetwork(SIZE, SKELETON).codec
    sheet = people_sheet(crops, (heatmaps, weights, SKELETON), (heatmaps, SKELETON), codec)
    for row in range(8):
        learnt, target, predicted, found = cells(sheet, (256, 256), row)
        np.testing.assert_array_equal(learnt, found)
        np.testing.assert_array_equal(target, predicted)
    nothing = people_sheet(crops, (heatmaps, weights, SKELETON), (0 * heatmaps - 1, SKELETON), codec)
    learnt, target, predicted, found = cells(nothing, (256, 256))
    np.testing.assert_array_equal(learnt, cells(sheet, (256, 256))[0])
    assert (predicted == predicted[..., :1]).all()  # grey: no heat
    np.testing.assert_array_equal(found[::4, ::4], crops[0])  # no joints


def test_joints_are_drawn_where_they_are(people, batch):
    """Crops large enough are not enlarged; the pictures are those that draw_joints makes of the truth."""
    crops = np.zeros((1, 256, 192, 3), np.uint8)
    codec = TinyNetwork((256, 192), SKELETON).codec
    points = np.random.default_rng(0).uniform(30, 160, (7, 2))
    heatmaps, weights = codec.encode(points, [1, 1, 0, 1, 1, 1, 1])
    sheet = people_sheet(crops, (heatmaps[None], weights[None], SKELETON), (heatmaps[None], SKELETON), codec)
    expected = np.zeros((256, 192, 3), np.uint8)
    draw_joints(expected, points, weights > 0, SKELETON, width=2)
    learnt, *_, found = cells(sheet, (256, 192))
    # Decoding moves a joint by less than a pixel.
    for picture in (learnt, found):
        assert cv2.absdiff(cv2.blur(picture, (5, 5)), cv2.blur(expected, (5, 5))).max() < 90
        assert (picture.any(axis=2) != expected.any(axis=2)).mean() < 0.01
    assert sheet.shape[0] == 256 + 3 * LINE + 4


def test_the_source_may_have_other_joints(people, batch, tmp_path):
    """Each side's joints are drawn by its own skeleton."""
    crops, heatmaps, weights = (part[:1] for part in batch)
    codec = TinyNetwork(SIZE, SKELETON).codec
    names = tuple(SKELETON.names[::-1])
    limbs = tuple((6 - a, 6 - b) for a, b in SKELETON.limbs)
    turned = type(SKELETON)("turned", names, (), limbs, SKELETON.sigmas)
    one = people_sheet(crops, (heatmaps, weights, SKELETON), (heatmaps, SKELETON), codec)
    other = people_sheet(
        crops, (heatmaps[..., ::-1], weights[:, ::-1], turned), (heatmaps[..., :5], fewer(5)), codec
    )
    assert np.abs(cells(one, (256, 256))[0].astype(int) - cells(other, (256, 256))[0]).mean() < 2
    assert (cells(other, (256, 256))[3] != cells(one, (256, 256))[3]).any()
    source = begin(network(), tmp_path, (crops, heatmaps[..., ::-1], weights[:, ::-1]), skeleton=turned)
    end_epoch(source, 0)
    written = cells(events(tmp_path)["people"][0], (256, 256))[0]
    np.testing.assert_array_equal(written, cells(other, (256, 256))[0])


def fewer(count):
    return type(SKELETON)("fewer", SKELETON.names[:count], (), (), SKELETON.sigmas[:count])


def test_without_tensorflow_one_line_says_so(batch, tmp_path, monkeypatch, capsys):
    summaries = Summaries(tmp_path, 4, batches=lambda: iter([batch]))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    summaries.on_train_begin()
    for epoch in range(2):
        end_epoch(summaries, epoch)
    summaries.on_train_end()
    assert capsys.readouterr().err == "no TensorBoard files: they need TensorFlow\n"
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(batch, tmp_path):
    (tmp_path / "tensorboard").write_text("")
    with pytest.raises(InputError, match=r"tensorboard: cannot be written \(.*(directory|exists)") as caught:
        begin(network(), tmp_path, batch)
    assert "\n" not in str(caught.value)
    assert "{{" not in str(caught.value)


def test_a_full_disk(batch, tmp_path, monkeypatch):
    summaries = begin(network(), tmp_path, batch)

    def full(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(
            None, None, "{{node}} x.v2; No space left on device\n\tno [Op:F]"
        )

    monkeypatch.setattr(tf.summary, "write", full)
    with pytest.raises(
        InputError, match=r"tensorboard: cannot be written \(x.v2; No space left on device no\)"
    ):
        end_epoch(summaries, 0)


def test_the_source_is_asked_once_for_one_batch(batch, tmp_path):
    asked = []

    def batches():
        asked.append(None)
        yield batch
        raise AssertionError("one batch is enough")

    summaries = begin(network(), tmp_path, None, batches=batches)
    for epoch in range(2):
        end_epoch(summaries, epoch)
    assert len(asked) == 1
