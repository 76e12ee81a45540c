"""Pictures of alike maps: matrices, histograms, and the maps themselves beside each other."""

import keras
import numpy as np

from flpn_tf.charts import any_text, new_figure, png
from flpn_tf.redundancy.likeness import Likeness
from flpn_tf.redundancy.ssim import scaled
from flpn_tf.redundancy.summary import BINS, ratio_in_words
from flpn_tf.redundancy.taps import tapped

FILES = ("similarity.png", "histogram.png", "maps.png")
_PAIRS = 4  # of maps of each stage, on the sheet
_COLUMNS = 4  # of matrices and of histograms
_TICKS = (0.001, 0.01, 0.1, 1, 10, 100)  # per cent


def draw(found: list[Likeness], summary: dict, model: keras.Model, crop: np.ndarray, layers: str) -> dict:
    """The pictures as PNGs by name.

    Args:
        found, summary: of `measure_likeness` and `summarise`.
        model, layers: as of `measure_likeness`.
        crop: (H, W, 3), whose maps are shown.

    Returns:
        `FILES` → bytes: the matrix of each stage's last layer, alike maps side by side; the distribution of
        pairs by stage; each stage's most alike pairs of maps, as the paper's figure 1 has them.
    """
    with any_text():
        last = list({one.stage: one for one in found}.values())
        pictures = _matrices(last), _histograms(summary), _maps(last, model, crop, layers)
        return dict(zip(FILES, map(png, pictures), strict=True))


def _figure(rows: int, columns: int, size: tuple[float, float]):
    figure = new_figure(columns * size[0], rows * size[1])
    return figure, figure.subplots(rows, columns, squeeze=False)


def _matrices(last: list[Likeness]):
    columns = min(_COLUMNS, len(last))
    rows = -(-len(last) // columns)
    figure, panels = _figure(rows, columns, (3.2, 3.4))
    for panel in panels.flat[len(last) :]:
        panel.remove()
    for panel, one in zip(panels.flat, last, strict=False):
        matrix = one.similarity[:, one.rows]
        order = _grouped(matrix)
        image = panel.imshow(matrix[order][:, order], vmin=0, vmax=1, cmap="magma", interpolation="nearest")
        which = f"{len(one.rows)} of {one.channels}" if one.sampled else f"{one.channels}"
        panel.set_title(f"{one.layer}: {which} maps, {one.size[0]}×{one.size[1]}", fontsize=8)
        panel.set(xticks=[], yticks=[])
    figure.colorbar(image, ax=list(panels.flat[: len(last)]), label="SSIM", shrink=0.8)
    figure.suptitle("SSIM, last layer of each stage, alike maps together", fontsize=9)
    return figure


def _grouped(matrix: np.ndarray) -> np.ndarray:
    """An order of the maps that puts alike ones together."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    upper = np.triu_indices(len(matrix), 1)
    if len(upper[0]) < 2:
        return np.arange(len(matrix))
    return leaves_list(linkage(1 - matrix[upper], "average"))


def _histograms(summary: dict):
    stages = summary["stages"]
    columns = min(_COLUMNS, len(stages))
    figure, panels = _figure(-(-len(stages) // columns), columns, (3.0, 2.8))
    for panel in panels.flat[len(stages) :]:
        panel.remove()
    edges = np.linspace(0, 1, BINS + 1)
    for panel, entry in zip(panels.flat, stages, strict=False):
        shares = 100 * np.array(entry["similarity"]["histogram"])
        panel.bar(edges[:-1], shares, 1 / BINS, align="edge", color="#4c78a8")
        panel.axvline(entry["similarity"]["mean"], color="#e45756", linewidth=1)
        told = f"distinct {100 * entry['intrinsic']:.0f} %, t = {ratio_in_words(entry)}"
        panel.set_title(f"{entry['stage']}\n{told}", fontsize=8)
        panel.set(yscale="log", ylim=(_TICKS[0], _TICKS[-1]), xlim=(0, 1))
        panel.set_yticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
        panel.set_yticks([], minor=True)
        panel.tick_params(labelsize=7)
    figure.supxlabel("SSIM of a pair of maps, negative values at 0; red: the mean", fontsize=9)
    figure.supylabel("share of pairs, %", fontsize=9)
    return figure


def _maps(last: list[Likeness], model, crop: np.ndarray, layers: str):
    network, names = tapped(model, layers)
    outputs = keras.tree.flatten(network(crop[np.newaxis], training=False))
    maps = dict(zip(names, map(keras.ops.convert_to_numpy, outputs), strict=True))
    figure, panels = _figure(len(last), 1 + 2 * _PAIRS, (1.15, 1.75))
    for row, one in zip(panels, last, strict=True):
        values, constant = scaled(maps[one.layer])
        for panel in row:
            panel.set(xticks=[], yticks=[])
        row[0].imshow(np.asarray(crop, np.uint8))
        row[0].set_ylabel(one.layer, fontsize=7)
        pairs = _most_alike(one, constant[0])
        for panel in row[1 + 2 * len(pairs) :]:
            panel.remove()
        for place, (first, second) in enumerate(pairs):
            similarity = one.similarity[np.searchsorted(one.rows, first), second]
            for panel, channel in zip(row[1 + 2 * place :], (first, second), strict=False):
                panel.set_xlabel(f"pair {place + 1}: {similarity:.2f}", fontsize=7)
                panel.imshow(values[0, ..., channel], vmin=0, vmax=1, cmap="viridis", interpolation="nearest")
                panel.set_title(f"map {channel}", fontsize=7)
    figure.suptitle(
        "Most alike pairs of maps, last layer of each stage, on one crop; SSIM: mean of all crops",
        fontsize=9,
    )
    return figure


def _most_alike(one: Likeness, constant: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of maps, no map in two of them, none that is constant on the crop shown."""
    matrix = one.similarity.copy()
    matrix[np.arange(len(one.rows)), one.rows] = -1
    matrix[constant[one.rows]] = -1
    matrix[:, constant] = -1
    pairs = []
    while len(pairs) < _PAIRS:
        row, column = np.unravel_index(matrix.argmax(), matrix.shape)
        if matrix[row, column] < 0:
            break
        first = int(one.rows[row])
        pairs.append((first, int(column)))
        taken = [first, int(column)]
        matrix[:, taken] = -1
        matrix[np.isin(one.rows, taken)] = -1
    return pairs
