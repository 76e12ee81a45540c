"""How DARK may treat the border of a heatmap: error of each way near it, on clean and noisy gaussians.

python benchmarks/dark_border.py  (numpy only; the table of docs/decisions.md)
"""

import numpy as np

from flpn_tf.codec import HeatmapCodec

HEIGHT, WIDTH, SIGMA = 64, 48, 2.0
BORDER = 4.0  # heatmap pixels: how near the points lie
REACH = 5  # half-width of the smoothing kernel
PEAK, NOISE = 0.6, 0.02
COUNT = 3000


def points_near_border(rng):
    """(COUNT, 2) points with at least one coordinate within BORDER of an edge."""
    size = np.array([WIDTH, HEIGHT]) - 1
    points = rng.uniform(0, 1, (4 * COUNT, 2)) * size
    near = (np.minimum(points, size - points) < BORDER).any(axis=1)
    return points[near][:COUNT]


def smooth(heatmap, padding):
    """The separable 11-tap blur with the map continued by `padding`."""
    if padding == "none":
        return heatmap
    taps = np.exp(-(np.arange(-REACH, REACH + 1) ** 2) / (2 * SIGMA**2))
    taps /= taps.sum()
    mode = "constant" if padding in ("zero", "renormalised") else padding

    def blur(image):
        image = np.pad(image, REACH, mode=mode)
        rows = np.apply_along_axis(np.convolve, 0, image, taps, "valid")
        return np.apply_along_axis(np.convolve, 1, rows, taps, "valid")

    result = blur(heatmap)
    return result / blur(np.ones_like(heatmap)) if padding == "renormalised" else result


def dark(heatmap, padding, skip_border=False):
    """(x, y): the Newton step at the peak, or inside where the peak lies on the border."""
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    if skip_border and not (1 < x < WIDTH - 2 and 1 < y < HEIGHT - 2):
        return np.array([x, y], float)
    column, row = np.clip(x, 1, WIDTH - 2), np.clip(y, 1, HEIGHT - 2)
    log = np.log(np.maximum(smooth(heatmap, padding), 1e-10))[row - 1 : row + 2, column - 1 : column + 2]
    gradient = np.array([log[1, 2] - log[1, 0], log[2, 1] - log[0, 1]]) / 2
    mixed = (log[2, 2] - log[2, 0] - log[0, 2] + log[0, 0]) / 4
    hessian = np.array(
        [[log[1, 2] - 2 * log[1, 1] + log[1, 0], mixed], [mixed, log[2, 1] - 2 * log[1, 1] + log[0, 1]]]
    )
    if hessian[0, 0] >= 0 or np.linalg.det(hessian) <= 1e-9:
        return np.array([x, y], float)
    step = np.array([column - x, row - y]) - np.linalg.solve(hessian, gradient)
    return np.array([x, y]) + np.clip(step, -1, 1)


def main():
    rng = np.random.default_rng(0)
    points = points_near_border(rng)
    codec = HeatmapCodec(HEIGHT, WIDTH, stride=1, sigma=SIGMA)
    clean, _ = codec.encode(points, np.ones(len(points)))
    noisy = PEAK * clean + rng.normal(0, NOISE, clean.shape)
    ways = {"shrinking kernel (ours)": codec.decode}
    for padding in ("none", "zero", "reflect", "edge", "renormalised"):
        ways[f"padding: {padding}"] = padding
    ways["reference: zero padding, border skipped"] = "zero"
    print(f"{'smoothing':40} clean: max   mean   noisy: mean")
    for name, way in ways.items():
        errors = []
        for maps in (clean, noisy):
            if callable(way):
                found = way(maps)[:, :2]
            else:
                skip = name.startswith("reference")
                found = np.stack([dark(maps[..., k], way, skip) for k in range(len(points))])
            errors.append(np.abs(found - points))
        print(f"{name:40} {errors[0].max():10.4f} {errors[0].mean():6.4f} {errors[1].mean():13.4f}")


if __name__ == "__main__":
    main()
