import dataclasses
import json

import numpy as np
import pytest
from real_data import real_data

from flpn_tf.errors import InputError
from flpn_tf.skeleton import COCO_17, DEFAULT_SIGMA, LSP_14, MPII_16, SKELETONS, Skeleton, joint_side

ALL = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)


@ALL
def test_flip_pairs_are_the_left_and_right_of_one_joint(skeleton):
    mirrored = {name.replace("left", "RIGHT").replace("right", "left").lower() for name in skeleton.names}
    assert mirrored == set(skeleton.names)
    for i, j in enumerate(skeleton.flip_permutation):
        assert skeleton.names[j] == skeleton.names[i].replace("left", "R").replace("right", "left").replace(
            "R", "right"
        )


@ALL
def test_flipping_twice_changes_nothing(skeleton):
    order = skeleton.flip_permutation
    assert (order[order] == np.arange(len(skeleton))).all()
    assert (order != np.arange(len(skeleton))).sum() == 2 * len(skeleton.flip_pairs)


@ALL
def test_dict_round_trip_through_json(skeleton):
    assert Skeleton.from_dict(json.loads(json.dumps(skeleton.to_dict()))) == skeleton


def test_name_may_be_left_out_and_is_then_found():
    values = LSP_14.to_dict()
    del values["name"]
    assert Skeleton.from_dict(values).name == LSP_14.name


@ALL
def test_limbs_are_mirror_symmetric(skeleton):
    order = skeleton.flip_permutation
    limbs = {frozenset(limb) for limb in skeleton.limbs}
    assert {frozenset(int(order[j]) for j in limb) for limb in limbs} == limbs


def test_sigmas_are_those_of_pycocotools():
    params = pytest.importorskip("pycocotools.cocoeval").Params(iouType="keypoints")
    np.testing.assert_allclose(COCO_17.sigmas, params.kpt_oks_sigmas)


@pytest.mark.parametrize(("folder", "skeleton"), [("coco_val", COCO_17), ("lsp_val", LSP_14)])
def test_constants_equal_the_official_categories(folder, skeleton):
    category = json.loads((real_data(folder) / "annotations.json").read_text())["categories"][0]
    read = Skeleton.from_coco_category(category)
    assert read.name == skeleton.name
    assert read.sigmas == skeleton.sigmas
    assert read.flip_pairs == skeleton.flip_pairs
    assert {frozenset(limb) for limb in read.limbs} == {frozenset(limb) for limb in skeleton.limbs}


@pytest.mark.parametrize(
    "names",
    [
        ("left_eye", "right_eye", "beak"),
        ("eye_l", "eye_r", "beak"),
        ("LeftEye", "RightEye", "Beak"),
        ("L-eye", "R-eye", "beak"),
        ("LEye", "REye", "Beak"),
        ("eye left 2", "eye right 2", "tail"),
    ],
)
def test_flip_pairs_come_from_names(names):
    assert Skeleton.from_coco_category({"keypoints": list(names)}).flip_pairs == ((0, 1),)


@pytest.mark.parametrize(
    ("side", "names"),
    [
        ("left", ("left_eye", "LeftEye", "eye L", "l-eye", "eyeL", "lefteye")),
        ("right", ("right_eye", "RightEye", "eye R", "r-eye", "eyeR", "righteye")),
        (None, ("nose", "skull", "tail", "rear", "2")),
    ],
)
def test_sides_come_from_names(side, names):
    assert {name: joint_side(name) for name in names} == dict.fromkeys(names, side)


def test_unknown_category_gets_the_default_sigma_and_zero_based_limbs():
    skeleton = Skeleton.from_coco_category(
        {"name": "cat", "keypoints": ["ear", "tail"], "skeleton": [[1, 2]]}
    )
    assert skeleton.sigmas == (DEFAULT_SIGMA, DEFAULT_SIGMA)
    assert skeleton.limbs == ((0, 1),)
    assert skeleton.name == "cat_2"


def test_given_pairs_and_sigmas_win():
    category = {"keypoints": ["a", "b", "c"]}
    skeleton = Skeleton.from_coco_category(category, flip_pairs=[[0, 2]], sigmas=[0.1, 0.2, 0.3])
    assert skeleton.flip_pairs == ((0, 2),)
    assert skeleton.sigmas == (0.1, 0.2, 0.3)


def test_unnamed_has_as_many_joints_as_asked():
    skeleton = Skeleton.unnamed(21)
    assert len(skeleton) == 21
    assert skeleton.names[0] == "keypoint_0"
    assert (skeleton.flip_permutation == np.arange(21)).all()


def test_a_subset_keeps_the_pairs_and_limbs_that_are_whole():
    names = ("right_knee", "nose", "left_eye", "left_knee", "left_hip", "right_hip")
    subset = COCO_17.subset([COCO_17.names.index(name) for name in names])
    assert subset.names == names
    assert subset.flip_pairs == ((4, 5), (3, 0))
    assert set(subset.limbs) == {(3, 4), (0, 5), (4, 5), (1, 2)}
    assert subset.sigmas == (0.087, 0.026, 0.025, 0.087, 0.107, 0.107)
    assert subset.name == "coco_17"


@ALL
def test_subsets_of_all_joints(skeleton):
    joints = list(range(len(skeleton)))
    assert skeleton.subset(joints) == skeleton
    assert skeleton.subset(joints[::-1]).subset(joints[::-1]) == skeleton
    assert skeleton.subset(joints[::-1]) != skeleton


@pytest.mark.parametrize(("joints", "message"), [([], "at least one joint"), ([3, 3], "unique joint names")])
def test_subsets_that_are_no_skeleton(joints, message):
    with pytest.raises(InputError, match=message):
        COCO_17.subset(joints)


def test_match_goes_by_name_and_lists_the_rest():
    pairs = LSP_14.match(COCO_17)
    assert len(pairs) == 12
    assert all(LSP_14.names[i] == COCO_17.names[j] for i, j in pairs)
    assert LSP_14.unmatched(COCO_17) == ("neck", "head_top")
    assert set(COCO_17.unmatched(LSP_14)) == {"nose", "left_eye", "right_eye", "left_ear", "right_ear"}
    assert len(MPII_16.match(COCO_17)) == 12


def test_fewer_than_half_matched_is_refused():
    with pytest.raises(InputError, match="fewer than half"):
        Skeleton.unnamed(17).match(COCO_17)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ("a", "a")}, "unique"),
        ({"names": ()}, "at least one"),
        ({"names": ("a", 3)}, "with a name"),
        ({"sigmas": (0.1,)}, "sigmas"),
        ({"sigmas": (0.1, -1.0)}, "sigmas"),
        ({"sigmas": (0.1, float("nan"))}, "sigmas"),
        ({"limbs": ((0, 2),)}, "limbs"),
        ({"limbs": ((0,),)}, "malformed"),
        ({"limbs": ((0, 1.5),)}, "whole number. Received: 1.5"),
        ({"limbs": (("0", 1),)}, "whole number. Received: '0'"),
        ({"flip_pairs": ((0, True),)}, "whole number. Received: True"),
        ({"flip_pairs": ((0, 0),)}, "flip_pairs"),
        ({"flip_pairs": ((0, 1), (1, 0))}, "one flip pair"),
    ],
)
def test_a_skeleton_that_does_not_fit_together_is_refused(change, message):
    good = Skeleton("two", ("a", "b"), ((0, 1),), ((0, 1),), (0.1, 0.1))
    with pytest.raises(InputError, match=message):
        dataclasses.replace(good, **change)


@pytest.mark.parametrize("category", [{}, {"keypoints": []}, {"keypoints": "nose"}, None])
def test_a_category_without_joints_is_refused(category):
    with pytest.raises(InputError, match="keypoints"):
        Skeleton.from_coco_category(category)


def test_limbs_of_a_category_are_not_truncated():
    with pytest.raises(InputError, match="1-based joints"):
        Skeleton.from_coco_category({"keypoints": ["a", "b"], "skeleton": [[1, 2.7]]})


def test_a_joint_more_does_not_change_the_others_sigmas():
    skeleton = Skeleton.from_coco_category({"keypoints": [*COCO_17.names, "tail"]})
    assert skeleton.sigmas == (*COCO_17.sigmas, DEFAULT_SIGMA)
