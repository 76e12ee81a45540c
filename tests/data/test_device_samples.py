"""What the JAX source does beyond what `test_pipeline` and `test_sample_transform` ask of both."""

import threading
import time
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest
import synthetic_people
from broken_photos import BROKEN, broken
from helpers import run_python

from flpn_tf.codec import HeatmapCodec
from flpn_tf.data import device_samples as module
from flpn_tf.data.augment import Augmentation
from flpn_tf.data.device_samples import device_batches
from flpn_tf.data.prepare import prepare
from flpn_tf.data.sources import read_people
from flpn_tf.data.stored_photo import StoredPhoto
from flpn_tf.errors import InputError

SIZE = (96, 64)
CODEC = HeatmapCodec(SIZE[0] // 4, SIZE[1] // 4)
STRONG = Augmentation(rotation=40, scale=0.3, translation=0.1, contrast=0.3, hue=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    document = synthetic_people.document(people=7, copies=2)
    return synthetic_people.write(tmp_path_factory.mktemp("people"), document)


@pytest.fixture(scope="module")
def people(folder):
    return read_people(folder)


def batches(people, count, batch_size=2, **options):
    samples = device_batches(people, CODEC, SIZE, batch_size, **options)
    found = [tuple(map(np.asarray, batch)) for _, batch in zip(range(count), samples, strict=False)]
    samples.close()
    return found


def assert_equal(some, others):
    assert len(some) == len(others) > 0
    for one, other in zip(some, others, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def loaders():
    return [thread for thread in threading.enumerate() if thread.name.startswith(("photos", "batches"))]


def test_arrays_are_jaxs(people):
    samples = device_batches(people, CODEC, SIZE, 2)
    assert all(isinstance(part, jax.Array) for part in next(samples))
    samples.close()


def test_the_number_of_threads_has_no_say(people, monkeypatch):
    whole = batches(people, 9, augmentation=STRONG)
    for threads in (1, 5):
        monkeypatch.setattr(module, "_THREADS", threads)
        assert_equal(batches(people, 9, augmentation=STRONG), whole)


def test_a_batch_may_hold_more_than_one_pass(people):
    ((one, *_),), two = batches(people, 1, 28), batches(people, 2, 14)
    np.testing.assert_array_equal(one, np.concatenate([crops for crops, *_ in two]))


def test_large_seeds_and_steps_are_others(people):
    numbers = [module.uniforms(*key, 5) for key in ((0, 0), (0, 1), (1, 0), (2**40, 0), (0, 2**40))]
    assert len({values.tobytes() for values in numbers}) == 5
    assert_equal(batches(people, 1, seed=2**40), batches(people, 1, seed=2**40))


def test_a_few_batches_are_read_ahead_and_no_more(people, monkeypatch):
    read, original = [], module._read

    def counting(entries, index):
        read.append(index)
        return original(entries, index)

    monkeypatch.setattr(module, "_read", counting)
    samples = device_batches(people, CODEC, SIZE, 2)
    assert not read
    next(samples)
    deadline = time.monotonic() + 20
    while len(read) < 2 * (1 + module._AHEAD) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(read) == 2 * (1 + module._AHEAD)
    samples.close()


def test_threads_end_with_the_generator(people, tmp_path):
    before = loaders()
    closed, dropped = (device_batches(people, CODEC, SIZE, 2) for _ in range(2))
    next(closed)
    next(dropped)
    assert len(loaders()) > len(before)
    closed.close()
    del dropped
    assert loaders() == before
    for _ in device_batches(people, CODEC, SIZE, 2, repeat=False):
        pass
    assert loaders() == before
    with pytest.raises(InputError):
        batches(broken(people, tmp_path / "broken.png", b""), 14)
    assert loaders() == before


@pytest.mark.parametrize("make", BROKEN.values(), ids=BROKEN)
def test_a_bad_photo_is_named_where_it_comes(people, tmp_path, make):
    photo = tmp_path / "broken: photo.png"
    bad = broken(people, photo, make(people.records[3].image.read_bytes()))
    samples = device_batches(bad, CODEC, SIZE, 1, shuffle=False)
    assert len([next(samples) for _ in range(3)]) == 3
    with pytest.raises(InputError) as caught:
        next(samples)
    message = str(caught.value)
    assert f"{photo}, person {bad.records[3].person_id}" in message
    assert "flpn data check" in message
    assert "\n" not in message
    assert len(message) < 500


def test_a_photo_that_vanishes_is_named(people, tmp_path):
    bad = broken(people, tmp_path / "gone.png", b"")
    (tmp_path / "gone.png").unlink()
    with pytest.raises(InputError, match=r"gone.png, person \d+: No such file"):
        batches(bad, 14)


def test_a_photo_of_another_size_than_its_annotations_say_is_named(people, tmp_path):
    smaller = cv2.resize(cv2.imread(str(people.records[3].image)), (50, 60))
    bad = broken(people, tmp_path / "small.png", cv2.imencode(".png", smaller)[1].tobytes())
    with pytest.raises(InputError, match=r"small.png, person \d+: .* is 50x60 upright, .* say 100x120"):
        batches(bad, 14)


KINDS = {"crops": StoredPhoto(image_size=SIZE, reach=STRONG), "photos": StoredPhoto(whole=True)}


@pytest.fixture(scope="module")
def prepared(folder):
    return {
        kind: prepare(folder, folder / kind, options, shard_size=5, jobs=1) for kind, options in KINDS.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_prepared_people_give_the_samples_of_their_photos(people, prepared, kind):
    """Bit for bit, as these photos keep their bytes; the stored order is another one."""
    options = {"repeat": False, "shuffle": False, "batch_size": 14}
    ((crops, heatmaps, _),), ((stored, stored_heatmaps, _),) = (
        batches(these, 9, **options) for these in (people, prepared[kind])
    )
    order = [np.abs(crops.astype(int) - crop).mean(axis=(1, 2, 3)).argmin() for crop in stored]
    # Both people of a photo are the same one.
    assert sorted(i // 2 for i in order) == sorted(list(range(7)) * 2)
    np.testing.assert_array_equal(stored, crops[order])
    np.testing.assert_array_equal(stored_heatmaps, heatmaps[order])


def test_prepared_people_continue_and_are_augmented(prepared):
    whole = batches(prepared["crops"], 12, 3, seed=5, augmentation=STRONG)
    assert_equal(batches(prepared["crops"], 4, 3, seed=5, augmentation=STRONG, first_step=8), whole[8:])
    with pytest.raises(InputError, match="prepared for rotation up to 40"):
        device_batches(prepared["crops"], CODEC, SIZE, 3, augmentation=Augmentation(rotation=45))


def test_a_shard_that_changes_while_training_is_named(folder, tmp_path):
    changing = prepare(folder, tmp_path / "out", KINDS["photos"], jobs=1)
    samples = device_batches(changing, CODEC, SIZE, 2)
    (shard,) = changing.paths
    Path(shard).write_bytes(bytes(changing.bytes))
    with pytest.raises(InputError, match="its content has changed since it was prepared"):
        next(samples)


WITHOUT_TENSORFLOW = """
    import sys
    sys.modules["tensorflow"] = None
    import numpy as np
    from flpn_tf.codec import HeatmapCodec
    from flpn_tf.data.augment import Augmentation
    from flpn_tf.data.device_samples import device_batches
    from flpn_tf.data.sources import open_people

    def samples(data):
        return device_batches(
            open_people(data), HeatmapCodec(24, 16), (96, 64), 4, seed=3, augmentation=Augmentation(hue=20)
        )
"""


def test_without_tensorflow(folder, prepared):
    """Raw and prepared people; the same batches as in a process that has it."""
    code = f"""{WITHOUT_TENSORFLOW}
    for data in (".", "crops"):
        for _, (crops, heatmaps, weights) in zip(range(3), samples(data)):
            print(int(np.sum(crops, dtype=int)), float(np.sum(heatmaps, dtype=float)), int(np.sum(weights)))
    """
    printed = [list(map(float, line.split())) for line in run_python(code, folder).splitlines()]
    expected = [
        [part.sum(dtype=float) for part in batch]
        for people in (read_people(folder), prepared["crops"])
        for batch in batches(people, 3, 4, seed=3, augmentation=Augmentation(hue=20))
    ]
    np.testing.assert_allclose(printed, expected, rtol=1e-6)


@pytest.mark.parametrize("devices", [1, 2])
def test_fit_on_several_devices(folder, people, devices):
    """Keras gets each batch whole: of a network that answers 0, the losses are the targets' own."""
    code = f"""{WITHOUT_TENSORFLOW}
    import keras

    class Losses(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            print(logs["loss"] * (batch + 1))  # the mean so far

    if {devices} > 1:
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    assert len(keras.distribution.list_devices()) == {devices}
    pixels = keras.Input((96, 64, 3))
    zero = keras.layers.Conv2D(7, 4, strides=4, kernel_initializer="zeros")(pixels)
    network = keras.Model(pixels, zero)
    network.compile("sgd", lambda true, found: keras.ops.mean((true - found) ** 2, axis=(1, 2)))
    network.optimizer.learning_rate = 0.0
    network.fit(samples("."), steps_per_epoch=3, epochs=2, verbose=0, callbacks=[Losses()])
    """
    environment = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    flags = f"--xla_force_host_platform_device_count={devices}"
    printed = run_python(code, folder, XLA_FLAGS=flags, **environment).split()
    sums = np.reshape(list(map(float, printed)), (2, 3))
    losses = np.diff(sums, axis=1, prepend=0).ravel()
    found = batches(people, 6, 4, seed=3, augmentation=Augmentation(hue=20))
    expected = [np.mean(heatmaps**2, axis=(1, 2)) * weights for _, heatmaps, weights in found]
    np.testing.assert_allclose(losses, np.mean(expected, axis=(1, 2)), rtol=1e-4)
