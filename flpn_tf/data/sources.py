"""One door to every data set that `flpn_tf.data` reads. Needs no TensorFlow."""

from pathlib import Path

from flpn_tf.data.coco import read_coco
from flpn_tf.data.findings import Findings
from flpn_tf.data.records import People
from flpn_tf.errors import InputError


def read_people(data, images=None, findings: Findings | None = None) -> People:
    """Reads the people of a data set, whatever its format; the files say which it is.

    Args:
        data: a folder with `annotations.json` and `images/`, or an annotation file.
        images: folder of the photos; by default `images/` beside the annotation file.
        findings: where what is wrong is kept; by default the first error is raised.

    Raises:
        InputError: no such data set, or what its reader raises.
    """
    source = Path(data)
    annotations = source / "annotations.json" if source.is_dir() else source
    root = annotations.parent / "images" if images is None else Path(images)
    if not annotations.is_file() or not root.is_dir():
        raise InputError(
            f"{source}: a data set is a folder with annotations.json and images/; give one that has both"
        )
    return read_coco(annotations, root, findings=findings)
