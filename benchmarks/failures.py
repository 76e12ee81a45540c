"""The model card's picture of failures: docs/failures.png, made with `make table`.

For each kind of error (`flpn_tf.evaluation.analysis`) people of whom most joints are wrong in that way,
the truth beside what was found. Skeletons alone: the photos are their photographers'.

python benchmarks/failures.py MODEL COCO_FORMAT_FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from flpn_tf.data.contact_sheet import contact_sheet, with_joints
from flpn_tf.evaluation.analysis import KINDS
from flpn_tf.evaluation.evaluate import evaluate
from flpn_tf.geometry import crop_affine, transform_points
from flpn_tf.runtime.files import encode_picture, write_atomically

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "failures.png"
TILE, PADDING, PEOPLE = 150, 1.5, 4
LABELLED = 9  # joints of those who are shown
LEGEND = (
    "orange: the person's left, blue: right, green: neither; black inside: hidden; all found joints are shown"
)


def tile(joints: np.ndarray, record, truth: bool) -> np.ndarray:
    """A skeleton on grey, the person's box and a quarter more on each side."""
    points = np.array(joints, np.float64)
    affine = crop_affine(record.box, TILE, TILE, PADDING)
    points[:, :2] = transform_points(points[:, :2], affine)
    hidden = points[:, 2] == 1 if truth else np.zeros(len(points), bool)
    points[:, 2] = points[:, 2] > 0
    return with_joints(np.full((TILE, TILE, 3), 60, np.uint8), points, hidden, record.skeleton)


def main(model: str, folder: str) -> None:
    found = evaluate(model, folder, dataset="coco")
    analysis = found.analysis
    enough = (analysis.kinds >= 0).sum(axis=1) >= LABELLED
    rows, columns = [], [([], []) for _ in range(2 * PEOPLE)]
    for kind, name in enumerate(KINDS[1:], 1):
        shares = (analysis.kinds == kind).sum(axis=1) / np.maximum((analysis.kinds >= 0).sum(axis=1), 1)
        rows.append(name)
        chosen = np.argsort(-np.where(enough, shares, -1), kind="stable")[:PEOPLE]
        for place, case in enumerate(chosen.tolist()):
            record = found.people.records[analysis.people[case]]
            pose = analysis.found.keypoints[analysis.poses[case]]
            pairs = (record.keypoints, True, "truth"), (pose, False, f"{100 * shares[case]:.0f} % {name}")
            for column, (joints, truth, caption) in zip(columns[2 * place :], pairs, strict=False):
                column[0].append(caption)
                column[1].append(tile(joints, record, truth))
    write_atomically(PICTURE, encode_picture(contact_sheet(rows, columns, LEGEND), ".png"))
    print(PICTURE)


if __name__ == "__main__":
    main(*sys.argv[1:])
