"""How far `flpn_tf.geometry.warp` is from exact bilinear sampling, on noise (the worst picture for it).

python benchmarks/warp_accuracy.py
"""

import cv2
import numpy as np

from flpn_tf.geometry import crop_affine, invert_affine, transform_points, warp

HEIGHT, WIDTH = 256, 192


def exact(image, affine, height, width):
    """Bilinear sampling at float64 coordinates, 0 outside, rounded."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    x, y = np.moveaxis(transform_points(np.stack([columns, rows], -1), invert_affine(affine)), -1, 0)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    padded = np.pad(image.astype(float), ((1, 1), (1, 1), (0, 0)))
    total = 0
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - abs(x - left - dx)) * (1 - abs(y - top - dy))
            r = np.clip(top + dy + 1, 0, padded.shape[0] - 1)
            c = np.clip(left + dx + 1, 0, padded.shape[1] - 1)
            total = total + weight[..., np.newaxis] * padded[r, c]
    return np.round(total)


def main():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    different, largest, values = 0, 0, 0
    for _ in range(50):
        box = [*rng.uniform(0, 300, 2), *rng.uniform(60, 300, 2)]
        affine = crop_affine(box, HEIGHT, WIDTH, rotation=rng.uniform(-40, 40), scale=rng.uniform(0.7, 1.3))
        error = np.abs(warp(image, affine, HEIGHT, WIDTH) - exact(image, affine, HEIGHT, WIDTH))
        different, largest, values = (
            different + (error > 0).sum(),
            max(largest, error.max()),
            values + error.size,
        )
    print(
        f"OpenCV {cv2.__version__}: largest difference {largest:.0f} levels, "
        f"{100 * different / values:.2f} % of the values differ"
    )


if __name__ == "__main__":
    main()
