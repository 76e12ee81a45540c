import numpy as np
import pytest
import synthetic_people
from synthetic_people import COLOURS

from flpn_tf import cli
from flpn_tf.codec import HeatmapCodec
from flpn_tf.data import contact_sheet
from flpn_tf.data.contact_sheet import LINE, place, with_heat
from flpn_tf.data.pipeline import training_dataset
from flpn_tf.data.prepare import prepare
from flpn_tf.data.show import choose, run
from flpn_tf.data.sources import open_people
from flpn_tf.data.stored_photo import StoredPhoto
from flpn_tf.data.streams import Order, stream
from flpn_tf.errors import InputError
from flpn_tf.runtime.images import read_image

SIZE = (192, 128)
CODEC = HeatmapCodec(SIZE[0] // 4, SIZE[1] // 4)
PEOPLE = 5
STILL = "rotation: 0, scale: 0, flip: 0"
LEFT, RIGHT, MIDDLE = (255, 140, 0), (0, 160, 255), (60, 220, 90)  # as drawn


def data_set(folder, limbs=False):
    """Five people: no nose is labelled, each left ankle is hidden."""
    content = synthetic_people.document(people=PEOPLE)
    for annotation in content["annotations"]:
        keypoints = annotation["keypoints"]
        keypoints[2], keypoints[5 * 3 + 2] = 0, 1
        annotation["num_keypoints"] = 6
    if not limbs:
        content["categories"] = [{**synthetic_people.CATEGORY, "skeleton": []}]
    return synthetic_people.write(folder, content)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return data_set(tmp_path_factory.mktemp("show") / "data")


@pytest.fixture
def sheet_of(tmp_path):
    """Runs the command and reads its picture."""

    def show(data, augmentation=None, name="sheet.png", **options):
        config = None
        if augmentation is not None:
            config = tmp_path / "config.yaml"
            config.write_text(f"augmentation: {{{augmentation}}}")
        run(data, tmp_path / name, config, image_size=SIZE, **{"people": PEOPLE, **options})
        return read_image(tmp_path / name)

    return show


def cell(sheet, row, column):
    top, left = place(row, column, SIZE)
    return sheet[top : top + SIZE[0], left : left + SIZE[1]]


def plain_batch(data):
    dataset = training_dataset(open_people(data), CODEC, SIZE, PEOPLE, shuffle=False)
    return [part.numpy() for part in next(iter(dataset))]


def marks(picture):
    """joint → the colours of the mark on it and of the mark's middle, for discs well inside a crop."""
    found = {}
    for joint, colour in enumerate(COLOURS):
        y, x = np.where(np.abs(picture.astype(int) - colour).max(axis=2) < 30)
        if len(x) > 40 and min(x.min(), y.min()) > 0 and (x.max() < SIZE[1] - 1) and (y.max() < SIZE[0] - 1):
            x, y = (x.min() + x.max()) // 2, (y.min() + y.max()) // 2
            inner = picture[y - 4 : y + 5, x - 4 : x + 5].astype(int)
            marks = [side for side in (LEFT, RIGHT, MIDDLE) if (np.abs(inner - side).max(axis=2) < 30).any()]
            found[joint] = marks, bool((inner.max(axis=2) < 30).any())
    return found


def test_plain_crops_and_targets_are_the_pipelines(data, sheet_of, capsys, tmp_path):
    sheet = sheet_of(data, draws=1)
    assert capsys.readouterr() == (f"{tmp_path / 'sheet.png'}\n", "")
    assert sheet.shape == (*place(PEOPLE, 3, SIZE), 3)
    crops, heatmaps, weights = plain_batch(data)
    points = CODEC.decode(heatmaps)[..., :2]
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for row, crop in enumerate(crops):
        shown = points[row][weights[row] > 0]
        assert len(shown) == 6
        distance = np.hypot(columns - shown[:, :1, None], rows - shown[:, 1:, None]).min(axis=0)
        plain = cell(sheet, row, 0)
        np.testing.assert_array_equal(plain[distance > 7], crop[distance > 7])
        assert (plain[distance < 2] != crop[distance < 2]).any(axis=1).all()
        np.testing.assert_array_equal(cell(sheet, row, 1), with_heat(crop, heatmaps[row], CODEC.stride))


def test_targets_are_where_the_joints_are():
    heatmaps = CODEC.encode([[40, 60], [90, 131]], [2, 1])[0]
    picture = with_heat(np.full((*SIZE, 3), 100, np.uint8), heatmaps, CODEC.stride).astype(int)
    np.testing.assert_array_equal(picture[0, 0], [60, 60, 60])
    np.testing.assert_array_equal(picture[60, 40], [255, 60, 0])
    reddest = np.unravel_index(picture[80:, :, 0].argmax(), (SIZE[0] - 80, SIZE[1]))
    assert np.abs(np.array(reddest) + (80, 0) - (131, 90)).max() <= 2  # a heatmap's pixel is 4 wide


@pytest.mark.parametrize("flip", [0, 1])
def test_joints_of_augmented_crops(data, sheet_of, flip):
    """Each joint's disc has its mark; mirrored, in the colour of the other side."""
    sheet = sheet_of(data, f"flip: {flip}", draws=3)
    sides = [(LEFT, RIGHT), (RIGHT, LEFT)][flip]
    expected = {joint: ([sides[(joint - 1) % 2]], joint == 5) for joint in range(1, 7)} | {0: ([], False)}
    found = [marks(cell(sheet, row, column)) for row in range(PEOPLE) for column in (2, 3, 4)]
    for joint in range(7):
        seen = [crop[joint] for crop in found if joint in crop]
        assert len(seen) > 5
        assert seen == [expected[joint]] * len(seen), "no nose is labelled, and the left ankles are hidden"


@pytest.mark.slow
def test_the_configs_augmentation_is_shown(data, sheet_of):
    still = sheet_of(data, STILL, draws=2)
    for row in range(PEOPLE):
        for column in (2, 3):
            np.testing.assert_array_equal(cell(still, row, column), cell(still, row, 0))
    mirrored = sheet_of(data, STILL.replace("flip: 0", "flip: 1"), draws=1)
    changed = sheet_of(data, STILL + ", brightness: 0.9", draws=1)
    for row in range(PEOPLE):
        assert (cell(mirrored, row, 2) != cell(mirrored, row, 0)).any()
    levels = [cell(changed, row, 2)[90, 64, 0] for row in range(PEOPLE)]
    assert len(set(levels)) == PEOPLE
    assert max(levels) > 60 > min(levels), "60 is the photos' background"
    # Below the crop it says whether it is mirrored.
    top, left = place(0, 2, SIZE)
    captions = [sheet[top + SIZE[0] :][:LINE, left : left + SIZE[1]] for sheet in (still, mirrored)]
    assert (captions[0] < 128).sum() < (captions[1] < 128).sum()


def test_no_augmented_crops_and_limbs(tmp_path, data, sheet_of):
    sheet = sheet_of(data_set(tmp_path / "data", limbs=True), draws=0)
    limbless = sheet_of(data, draws=0, name="sheet.JPG")
    assert sheet.shape == limbless.shape == (*place(PEOPLE, 2, SIZE), 3)
    orange = [(np.abs(cell(s, 0, 0).astype(int) - LEFT).max(axis=2) < 30).sum() for s in (sheet, limbless)]
    assert orange[0] > 2 * orange[1]


def test_people_are_chosen_by_seed(tmp_path, data, sheet_of):
    def ids(seed, count=2):
        choice = choose(open_people(data), count, np.random.default_rng(seed))
        return tuple(record.person_id for record in choice.people.records)

    assert len({ids(seed) for seed in range(60)}) == 10  # of 5 · 4 / 2
    assert all(first < second for first, second in map(ids, range(20)))
    assert ids(0, PEOPLE) == tuple(range(1000, 1000 + PEOPLE))
    first, again, other = (sheet_of(data, draws=2, seed=seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    for row in range(PEOPLE):
        np.testing.assert_array_equal(cell(first, row, 0), cell(other, row, 0))
    assert (cell(first, 0, 2) != cell(other, 0, 2)).any()
    assert (cell(first, 0, 2) != cell(first, 0, 3)).any()


def test_more_rows_than_people(data, sheet_of):
    assert sheet_of(data, people=100, draws=0).shape[0] == place(PEOPLE, 0, SIZE)[0]


@pytest.mark.parametrize("whole", [False, True])
def test_prepared_people(tmp_path, data, sheet_of, whole):
    folder = tmp_path / "prepared"
    prepare(data, folder, StoredPhoto(whole, SIZE), shard_size=2, jobs=1)
    crops, titles = plain_batch(folder)[0], set()
    for seed in (0, 1):
        sheet = sheet_of(folder, STILL, draws=1, seed=seed)
        titles.add(sheet[:LINE].tobytes())
        for row in range(PEOPLE):
            plain = cell(sheet, row, 0)
            np.testing.assert_array_equal(cell(sheet, row, 2), plain)
            assert min((crop != plain).any(axis=2).mean() for crop in crops) < 0.05  # where joints are drawn
            assert marks(plain)[4] == ([RIGHT], False)
    assert len(titles) == 2
    with pytest.raises(InputError, match="Received: "):
        run(folder, tmp_path / "sheet.png", images=tmp_path)
    if not whole:
        with pytest.raises(InputError, match="rotation"):
            sheet_of(folder, "rotation: 90")


def test_any_prepared_person_may_be_chosen(tmp_path, data):
    prepare(data, tmp_path / "prepared", StoredPhoto(True, SIZE), shard_size=3, jobs=1)
    people = open_people(tmp_path / "prepared")
    for count in (1, 2, 3, 5):
        seen = set()
        for seed in range(20):
            choice = choose(people, count, np.random.default_rng(seed))
            order = Order(count, first=choice.first, shuffle=False, repeat=False)
            (names,) = (entries.name.numpy().tolist() for entries in stream(choice.people, order).take(1))
            assert len(set(names)) == count
            seen |= set(names)
        assert len(seen) == PEOPLE


BAD = {
    "nobody": {"people": 0},
    "fewer than nobody": {"people": -1},
    "draws below 0": {"draws": -1},
    "a seed below 0": {"seed": -1},
    "a seed too large": {"seed": 2**31},
    "no size": {"image_size": (0, 64)},
    "a size between": {"image_size": (190, 128)},
    "too small a size": {"image_size": (8, 8)},
    "too large a sheet": {"draws": 10**6},
    "too high a sheet": {"image_size": (8000, 64)},
    "another ending": {"out": "sheet.txt"},
    "no folder": {"out": "no folder/sheet.png"},
    "over a photo": {"out": "data/images/3.png"},
    "over a photo that is not shown": {"out": "data/images/3.png", "people": 1},
    "over another": {"out": "data/images/4.png", "people": 1},
    "no data": {"data": "nothing"},
    "a split": {"split": "train"},
}


@pytest.mark.parametrize("options", BAD.values(), ids=BAD)
def test_bad_values(tmp_path, options):
    data_set(tmp_path / "data")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    options = {"data": "data", "out": "sheet.png", "image_size": SIZE, **options}
    data, out = tmp_path / options.pop("data"), tmp_path / options.pop("out")
    with pytest.raises(InputError, match="Received: "):
        run(data, out, **options)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_a_bad_config_is_named(tmp_path, data):
    (tmp_path / "config.yaml").write_text("augmentation: {turn: 3}")
    with pytest.raises(InputError, match=r"config\.yaml: unknown key augmentation\.turn"):
        run(data, tmp_path / "sheet.png", tmp_path / "config.yaml")


def test_a_photo_that_cannot_be_decoded_is_named(tmp_path, capfd):
    folder = data_set(tmp_path / "data")
    (folder / "images" / "3.png").write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"images/3\.png, person 1003: the photo cannot be decoded"):
        run(folder, tmp_path / "sheet.png", image_size=SIZE)
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "sheet.png").exists()


def test_the_size_of_the_config_and_the_command(tmp_path, data, monkeypatch, capsys):
    out, config = tmp_path / "sheet.png", tmp_path / "config.yaml"
    config.write_text("model: {image_size: [64, 32]}")
    run(data, out, config, people=1, draws=0)
    assert read_image(out).shape[:2] == place(1, 2, (64, 32))
    command = f"flpn data show {data} --people 1 --draws 1 --image-size 64x32 --out".split()
    monkeypatch.setattr("sys.argv", [*command, str(tmp_path / "other.png")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "other.png")
    assert read_image(tmp_path / "other.png").shape[:2] == place(1, 3, (64, 32))


def test_texts_are_cut_where_their_place_ends():
    """Whatever a file's name holds, the pictures stay as they are."""
    pictures = [np.full((40, 60, 3), level, np.uint8) for level in (10, 200)]
    titles = ["a\nb\x1b[31m\u202eü日本" + "x" * 5000, ""]
    sheet = contact_sheet.contact_sheet(titles, [(["y" * 500] * 2, pictures)] * 2, "z" * 500)
    for row in range(2):
        for column in range(2):
            top, left = place(row, column, (40, 60))
            assert (sheet[top : top + 40, left : left + 60] == pictures[row]).all()
        above = sheet[place(row, 0, (40, 60))[0] - LINE :][:LINE]
        assert (above < 128).any() == bool(titles[row])
    assert (sheet[-LINE:] < 128).any()
