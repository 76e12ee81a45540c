"""Why two maps are alike from SSIM 0.8 on: what a photo and its own 3×3 mean have.

The smart module makes its cheap maps by a 3×3 filter of one map each; the mean is the plainest. Grey crops,
averaged down to the sizes that the maps of FLPN's stages have at 256×192, stand for maps, so that no network
has a say.
Beside it, as the other end: the crop of another photo.
"""

import argparse

import cv2
import numpy as np

from flpn_tf.data.crops import sample_crops
from flpn_tf.data.sources import read_people
from flpn_tf.geometry import PADDING
from flpn_tf.redundancy.ssim import fitted_filter_size, scaled, ssim_sums

SIZES = ((64, 48), (32, 24), (16, 12), (8, 6))
CROPS = 64


def similarity(maps, others) -> np.ndarray:
    """(N,) SSIM of each map and its other."""
    pairs, _ = scaled(np.stack([maps, others], axis=-1))
    return np.array([ssim_sums(pair[np.newaxis], [0])[0, 1] for pair in pairs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", help="a data set that flpn evaluate takes")
    people = read_people(parser.parse_args().data)
    crops = sample_crops(people.records, CROPS, 256, 192, PADDING)
    grey = [cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops]
    print(f"{CROPS} crops, SSIM: median (10 % to 90 %)")
    for height, width in SIZES:
        maps = np.stack([cv2.resize(m, (width, height), interpolation=cv2.INTER_AREA) for m in grey])
        maps = maps.astype(np.float32)
        # Zeros outside, as the cheap convolution has them.
        means = np.stack([cv2.blur(m, (3, 3), borderType=cv2.BORDER_CONSTANT) for m in maps])
        size = fitted_filter_size(height, width)
        texts = []
        for name, others in (("its 3x3 mean", means), ("another photo", np.roll(maps, 1, axis=0))):
            low, median, high = np.percentile(similarity(maps, others), (10, 50, 90))
            texts.append(f"{name} {median:.2f} ({low:.2f} to {high:.2f})")
        print(f"{height}x{width}, window {size}: {', '.join(texts)}", flush=True)


if __name__ == "__main__":
    main()
