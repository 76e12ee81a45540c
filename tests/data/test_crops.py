import numpy as np
import pytest
import synthetic_people

from flpn_tf import geometry
from flpn_tf.data.crops import sample_crops
from flpn_tf.data.sources import read_people
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import read_image


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = synthetic_people.write(tmp_path_factory.mktemp("people"), synthetic_people.document(people=5))
    return read_people(folder).records


def test_each_person_is_cropped_as_the_estimator_crops(records):
    crops = sample_crops(records, 5, 96, 64, padding=1.25)
    assert (crops.shape, crops.dtype) == ((5, 96, 64, 3), np.uint8)
    expected = [
        geometry.warp(read_image(r.image), geometry.crop_affine(r.box, 96, 64), 96, 64) for r in records
    ]
    by_content = sorted(crops, key=lambda crop: crop.tobytes())
    np.testing.assert_array_equal(by_content, sorted(expected, key=lambda crop: crop.tobytes()))


def test_the_choice_is_seeded_and_without_repetition(records):
    crops = sample_crops(records, 3, 32, 32, padding=1.25, seed=1)
    assert len({crop.tobytes() for crop in crops}) == 3
    np.testing.assert_array_equal(crops, sample_crops(records, 3, 32, 32, padding=1.25, seed=1))
    others = [sample_crops(records, 3, 32, 32, padding=1.25, seed=seed) for seed in range(2, 6)]
    assert any((crops != other).any() for other in others)


def test_too_few_people(records):
    with pytest.raises(InputError, match="6 people are needed.*Received: 5"):
        sample_crops(records, 6, 32, 32, padding=1.25)
