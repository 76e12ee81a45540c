"""One door to every data set that `flpn_tf.data` reads. Needs no TensorFlow."""

import codecs
import os
from pathlib import Path

from flpn_tf.data.annotation_files import is_url, parse_json, photo_folder, read_annotations, short
from flpn_tf.data.coco import read_coco
from flpn_tf.data.findings import Findings
from flpn_tf.data.lsp import read_lsp
from flpn_tf.data.manifest import MANIFEST, PREPARING, PreparedPeople, is_prepared, open_prepared
from flpn_tf.data.matlab import is_mat, mat_variables
from flpn_tf.data.mpii import read_mpii
from flpn_tf.data.records import People
from flpn_tf.errors import InputError

_MAT_VARIABLES = {"RELEASE", "joints"}  # of MPII and LSP
_FIRST_BYTES = 1024  # enough to get past a json's leading white space


def read_people(data, images=None, split: str | None = None, findings: Findings | None = None) -> People:
    """Reads the people of a data set, whatever its format; the files' content says which it is.

    Args:
        data: an annotation file, or a folder with the photos in `images/` and the first of these that is
            there: `annotations.json` (COCO), one .mat with the variable RELEASE (MPII) or joints (LSP),
            `annot/train.json` or `annot/valid.json` (MPII as the code of Xiao et al. 2018 has it).
        images: folder of the photos; by default `images/` in the data set's folder or beside the annotation
            file, for `annot/*.json` also beside that folder. A URL is taken as it is.
        split: for MPII's .mat "train" (default), "test" or "all"; for LSP "train", "test" or "all"
            (default); for a folder with both `annot/*.json` "train" or "valid", which must then be given.
            Other formats have none.
        findings: where what is wrong is kept; by default the first error is raised.

    Returns:
        As the reader: `read_coco`, `read_mpii` (a json's head boxes are those of the gt_*.mat beside it) or
        `read_lsp`.

    Raises:
        InputError: no such data set or split, or what its reader raises.
    """
    annotations, root, split = _locate(Path(data), images, split)
    start = _first_bytes(annotations)
    if is_mat(start, annotations):
        variables = _variables(annotations)
        if "RELEASE" in variables:
            return read_mpii(annotations, root, split, findings=findings)
        if "joints" in variables:
            return read_lsp(annotations, root, split or "all", findings)
        raise InputError(
            f"{annotations}: is neither MPII, which has the variable RELEASE, nor LSP, which has joints. "
            f"Received: {short(variables)}"
        )
    if start.startswith(b"["):
        heads = annotations.with_name(f"gt_{annotations.stem}.mat")
        return read_mpii(annotations, root, split, heads if _is_file(heads) else None, findings)
    if split is not None:
        raise InputError(f"{annotations}: a COCO json has no split. Received: {short(split)}")
    return read_coco(annotations, root, findings=findings)


def locate(data, images=None, split: str | None = None) -> tuple[Path, Path | str]:
    """The annotation file and the photos' folder of a data set, as `read_people` finds them."""
    return _locate(Path(data), images, split)[:2]


def has_annotations(data, images=None, split: str | None = None) -> bool:
    """False of a COCO json of photos only, such as `image_info_test-dev2017.json`."""
    annotations, _ = locate(data, images, split)
    if not _first_bytes(annotations).startswith(b"{"):
        return True
    document = parse_json(read_annotations(annotations)[0], annotations)
    return "annotations" in document or "images" not in document


def open_people(data, images=None, split: str | None = None) -> People | PreparedPeople:
    """What to train on: a folder that `flpn data prepare` made, or else `read_people`.

    Raises:
        InputError: as `open_prepared` or `read_people`; `images` or `split` beside a prepared folder; or
            `images` that are a URL.
    """
    if is_url(images):
        raise InputError(f"{images}: photos are trained on from a URL only after flpn data prepare --beam")
    if not is_prepared(data):
        if (Path(data) / PREPARING).is_file():
            raise InputError(
                f"{data}: its preparation has not ended; run flpn data prepare again, it goes on there"
            )
        return read_people(data, images, split)
    if images is not None or split is not None:
        raise InputError(
            f"{data}: is prepared data, which has its photos and split in it. Received: {images or split}"
        )
    return open_prepared(data)


def _locate(source: Path, images, split: str | None) -> tuple[Path, Path | str, str | None]:
    """Annotation file, photos' folder, and the split of that file to read."""
    annotations = source
    if _is_folder(source):
        annotations, split = _annotations_of(source, split)
    root = _images_beside(annotations) if images is None else photo_folder(images)
    if _is_file(source / MANIFEST):
        raise InputError(f"{source}: is prepared for training only; give the data set that it was made from")
    if not _is_file(annotations) or not (is_url(root) or _is_folder(root)):
        raise InputError(
            f"{source}: a data set is a folder with annotations.json (COCO), a .mat of MPII or LSP, or "
            "annot/train.json or annot/valid.json (MPII), and images/; give one that has both, or the "
            f"annotation file and the photos' folder. Received: {annotations} and {root}"
        )
    return annotations, root, split


def _annotations_of(folder: Path, split: str | None) -> tuple[Path, str | None]:
    """The annotation file of a data set's folder, and which split of that file to read."""
    usual = folder / "annotations.json"
    if _is_file(usual):
        return usual, split
    mats = [path for path in sorted(folder.glob("*.mat")) if _MAT_VARIABLES & set(_variables(path))]
    if len(mats) > 1:
        names = ", ".join(path.name for path in mats)
        raise InputError(f"{folder}: has more than one data set, give the file. Received: {names}")
    if mats:
        return mats[0], split
    jsons = {name: folder / "annot" / f"{name}.json" for name in ("train", "valid")}
    jsons = {name: path for name, path in jsons.items() if _is_file(path)}
    if not jsons:
        return usual, split
    if split is None and len(jsons) == 1:
        (split,) = jsons
    if split not in jsons:
        raise InputError(f"{folder}: split must be one of {', '.join(jsons)}. Received: {short(split)}")
    return jsons[split], None


def _images_beside(annotations: Path) -> Path:
    beside = annotations.parent / "images"
    if annotations.parent.name == "annot" and not _is_folder(beside):
        return annotations.parent.parent / "images"
    return beside


# `Path.is_file` and `Path.is_dir` raise for a name too long.
def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112


def _variables(mat: Path) -> list[str]:
    return mat_variables(read_annotations(mat)[0], mat)


def _first_bytes(path: Path) -> bytes:
    """What a file starts with but for a byte order mark and white space."""
    try:
        with path.open("rb") as file:
            return file.read(_FIRST_BYTES).removeprefix(codecs.BOM_UTF8).lstrip()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
