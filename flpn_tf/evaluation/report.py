"""Where a model fails, on one page: `.html`, which holds its pictures, or `.png`."""

import base64
import html
import itertools
import math
from pathlib import Path

import numpy as np

from flpn_tf.charts import any_text, needs_matplotlib, new_figure, png
from flpn_tf.data.contact_sheet import contact_sheet, with_joints
from flpn_tf.errors import InputError, printable
from flpn_tf.evaluation.analysis import KINDS
from flpn_tf.evaluation.coco_eval import ap_by_size
from flpn_tf.evaluation.evaluate import Evaluation
from flpn_tf.evaluation.summary import about, errors, number, table
from flpn_tf.geometry import crop_affine, transform_points, warp
from flpn_tf.runtime.files import encode_picture, write_atomically
from flpn_tf.runtime.images import read_image
from flpn_tf.runtime.native_stderr import discard_native_stderr
from flpn_tf.runtime.poses import KEYPOINT_THRESHOLD

SUFFIXES = (".html", ".png")
_COLOURS = ("#4c9f70", "#f2c14e", "#f78154", "#b5446e", "#5b5b66")  # of KINDS
_WORST, _CASES_A_ROW = 12, 3
_LABELLED = 0.5  # share of the joints of a person who is shown first
_TILE = 200  # pixels, both sides
_TILE_PADDING = 1.5  # of the box
_BINS = 10
_SIZES = (0, 32, 64, 96, 128, 192, 256, 1e5)  # pixels, the root of the area
_TERMS = (
    "good: as near as people label it; jitter: near; inversion: on the same person's other side (left and "
    "right mixed up);",
    "swap: on another person; miss: on nobody's. OKS: likeness of a pose and the truth, 1 is the same.",
)
_LEGEND = (
    "orange: the person's left, blue: right, green: neither; black inside: hidden; "
    f"found joints of a score up to {KEYPOINT_THRESHOLD} are not shown"
)

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1300px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .7em;border-bottom:1px solid #ddd;"
    "text-align:right}th:first-child,td:first-child{text-align:left}img{max-width:100%}"
)


def write_report(path, found: Evaluation) -> None:
    """Writes the page, whole or not at all.

    Args:
        path: its suffix, one of `SUFFIXES`, says what to write.
        found: with people; its photos are read again for the worst cases.

    Raises:
        InputError: there is nothing to show, a photo cannot be read, or matplotlib is not installed.
    """
    needs_matplotlib()
    if found.analysis is None:
        raise InputError("a report needs annotations to compare the poses with")
    path = Path(path)
    sheet = _worst_cases(found)
    charts = [_joint_errors, _by_size, _calibration]
    with any_text():
        page = _picture if path.suffix.lower() == ".png" else _page
        content = page(found, charts, sheet)
    write_atomically(path, content)


def _picture(found: Evaluation, charts: list, sheet: np.ndarray) -> bytes:
    figure = new_figure(14, 11.9 + 14 * sheet.shape[0] / sheet.shape[1])
    top, middle, bottom = figure.subfigures(
        3, 1, height_ratios=(2.5, 9.4, 14 * sheet.shape[0] / sheet.shape[1])
    )
    lines = [_title(found), *_facts(found), *table(found.result)]
    top.text(0.02, 0.9, "\n".join(lines), va="top", fontsize=11, family="monospace")
    grid = middle.add_gridspec(2, 2, width_ratios=(1.3, 1))
    places = (grid[:, 0], grid[0, 1], grid[1, 1])
    for chart, place in zip(charts, places, strict=True):
        chart(middle.add_subplot(place), found)
    axes = bottom.add_subplot()
    axes.imshow(sheet)
    axes.set_axis_off()
    axes.set_title(_worst_title(found))
    return png(figure)


def _page(found: Evaluation, charts: list, sheet: np.ndarray) -> bytes:
    result = found.result
    metrics = "".join(f"<th>{html.escape(name)}</th>" for name in result["metrics"])
    values = "".join(f"<td>{number(value)}</td>" for value in result["metrics"].values())
    rows = "".join(
        f"<tr><td>{html.escape(printable(joint))}</td>"
        + "".join(f"<td>{number(shares[kind], 1)}</td>" for kind in KINDS)
        + "</tr>"
        for joint, shares in result["errors"].items()
    )
    pictures = []
    for chart in charts:
        figure = new_figure(9, 7 if chart is _joint_errors else 4.5)
        chart(figure.add_subplot(), found)
        pictures.append(_img(png(figure), chart.__doc__))
    facts = "".join(f"<p>{html.escape(fact)}</p>" for fact in _facts(found))
    kinds = "".join(f"<th>{kind}</th>" for kind in KINDS)
    return (
        "<!doctype html>\n"
        f'<html lang="en"><meta charset="utf-8"><title>{html.escape(_title(found))}</title>'
        f"<style>{_STYLE}</style>\n<h1>{html.escape(_title(found))}</h1>\n{facts}\n"
        f"<table><tr>{metrics}</tr><tr>{values}</tr></table>\n"
        f"<h2>Errors by joint</h2>\n{pictures[0]}\n"
        f"<table><tr><th>% of the labelled joints of people with a pose</th>{kinds}</tr>{rows}</table>\n"
        f"<h2>By size</h2>\n{pictures[1]}\n<h2>Calibration</h2>\n{pictures[2]}\n"
        f"<h2>{html.escape(_worst_title(found))}</h2>\n"
        f"{_img(encode_picture(sheet, '.jpg'), 'the worst cases')}\n</html>\n"
    ).encode()


def _title(found: Evaluation) -> str:
    return printable(f"{found.result['model']} on {found.result['data']}")


def _facts(found: Evaluation) -> list[str]:
    missed = len(found.people) - len(found.analysis.people)
    stray = len(found.analysis.found) - len(found.analysis.poses)
    facts = [*about(found.result), errors(found.result, len(found.analysis.people)), *_TERMS]
    if missed or stray:
        facts.append(f"{missed} people without a pose, {stray} poses of nobody (OKS below 0.1)")
    return facts


def _worst(found: Evaluation) -> np.ndarray:
    """Places in the analysis, the worst first."""
    analysis = found.analysis
    # One or two joints at a photo's edge say little.
    telling = (analysis.kinds >= 0).sum(axis=1) >= _LABELLED * analysis.kinds.shape[1]
    return np.lexsort((analysis.oks, ~telling))[:_WORST]


def _worst_title(found: Evaluation) -> str:
    return (
        f"The {len(_worst(found))} poses of the lowest OKS, each behind the truth; people with half of "
        "their joints labelled come first"
    )


def _joint_errors(axes, found: Evaluation) -> None:
    """errors by joint"""
    names = list(found.result["errors"])
    left = np.zeros(len(names))
    for kind, colour in zip(KINDS, _COLOURS, strict=True):
        shares = np.array([found.result["errors"][name][kind] or 0 for name in names])
        axes.barh([name.replace("_", " ") for name in names], shares, left=left, color=colour, label=kind)
        left += shares
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the labelled joints of people with a pose")
    axes.set_title("Errors by joint")
    axes.legend(ncols=len(KINDS), loc="upper center", bbox_to_anchor=(0.5, -0.08), frameon=False)


def _by_size(axes, found: Evaluation) -> None:
    """AP, or mean OKS, by the size of people"""
    sides = np.sqrt([record.area for record in found.people.records])
    places = np.digitize(sides, _SIZES[1:-1])
    labels = [f"{low}–{high}" for low, high in itertools.pairwise(_SIZES[:-1])] + [f"{_SIZES[-2]}+"]
    if found.result["dataset"] == "coco":
        poses = found.poses
        values = ap_by_size(found.everyone, poses.keypoints, poses.scores, poses.image_ids, _SIZES)
        axes.set_ylabel("AP")
        axes.set_title("AP by size")
    else:
        analysis = found.analysis
        values = [
            100 * analysis.oks[places[analysis.people] == place].mean() if (places == place).any() else None
            for place in range(len(labels))
        ]
        axes.set_ylabel("mean OKS · 100")
        axes.set_title("OKS by size")
    axes.bar(labels, [value or 0 for value in values], color="#3b6ea5")
    for place, value in enumerate(values):
        axes.text(place, (value or 0) + 1, number(value, 1), ha="center", va="bottom", fontsize=9)
        axes.text(place, 111, (places == place).sum(), ha="center", va="top", fontsize=8)
    axes.set_ylim(0, 112)
    axes.set_xlabel("root of the person's area, image pixels; on top: people")


def _calibration(axes, found: Evaluation) -> None:
    """score against OKS; poses of nobody have OKS 0"""
    scores = found.analysis.found.scores
    oks = np.zeros(len(scores))
    oks[found.analysis.poses] = found.analysis.oks
    order = np.argsort(scores, kind="stable")
    bins = [part for part in np.array_split(order, _BINS) if len(part)]
    axes.scatter(scores, oks, s=6, alpha=0.25, color="#888888", linewidths=0)
    axes.plot(
        [scores[part].mean() for part in bins],
        [oks[part].mean() for part in bins],
        marker="o",
        color="#3b6ea5",
        label="mean of a tenth of the poses",
    )
    if len(scores) and scores.min() >= 0 and scores.max() <= 1:
        axes.plot((0, 1), (0, 1), linestyle=":", color="#222222", label="score = OKS")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("score of the pose")
    axes.set_ylabel("OKS")
    axes.set_title("Calibration: what a score is worth")
    if bins:
        axes.legend(frameon=False)


def _worst_cases(found: Evaluation) -> np.ndarray:
    """A contact sheet, uint8 RGB."""
    analysis, people = found.analysis, found.people
    worst = _worst(found)
    captions, tiles = [], []
    for case in worst.tolist():
        record = people.records[analysis.people[case]]
        pose = analysis.poses[case]
        with discard_native_stderr():
            photo = read_image(record.image)
        affine = crop_affine(record.box, _TILE, _TILE, _TILE_PADDING)
        crop = warp(photo, affine, _TILE, _TILE)
        for name, joints, caption in (
            ("truth", record.keypoints, f"truth, OKS {analysis.oks[case]:.2f}"),
            (
                "found",
                analysis.found.keypoints[pose],
                f"{Path(record.image).stem[-12:]}, score {analysis.found.scores[pose]:.2f}",
            ),
        ):
            points = np.array(joints, np.float64)
            points[:, :2] = transform_points(points[:, :2], affine)
            hidden = points[:, 2] == 1 if name == "truth" else np.zeros(len(points), bool)
            if name == "found":
                points[:, 2] = points[:, 2] > KEYPOINT_THRESHOLD
            tiles.append(with_joints(crop, points, hidden, people.skeleton))
            captions.append(caption)
    across = 2 * _CASES_A_ROW
    blank = np.full((_TILE, _TILE, 3), 255, np.uint8)
    rows = max(1, math.ceil(len(tiles) / across))
    tiles += [blank] * (rows * across - len(tiles))
    captions += [""] * (rows * across - len(captions))
    columns = [(captions[column::across], tiles[column::across]) for column in range(across)]
    return contact_sheet([""] * rows, columns, _LEGEND)


def _img(content: bytes, what: str) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    text = base64.b64encode(content).decode()
    return f'<img alt="{html.escape(what)}" src="data:image/{kind};base64,{text}">'
