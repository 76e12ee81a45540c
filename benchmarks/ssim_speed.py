"""How long the similarity of 256 maps of 64×48 takes, beside `tf.image.ssim` on some of the pairs.

Noise maps: the time does not depend on what is in them. tf.image.ssim takes a batch of pairs.
"""

import argparse
import resource
import statistics
import time

import numpy as np
import tensorflow as tf

from flpn_tf.redundancy.measure import PAIRS
from flpn_tf.redundancy.ssim import scaled, ssim_sums

HEIGHT, WIDTH, CHANNELS = 64, 48, 256
BATCH = 512  # pairs that tf.image.ssim takes at once
TURNS = 3


def seconds(act) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    images = parser.parse_args().images
    rng = np.random.default_rng(0)
    maps, _ = scaled(rng.random((images, HEIGHT, WIDTH, CHANNELS)))
    ones, others = (np.moveaxis(maps[0][..., rng.integers(0, CHANNELS, BATCH)], -1, 0) for _ in range(2))
    pairs = CHANNELS * (CHANNELS - 1) // 2
    assert pairs <= PAIRS, "flpn ratios would sample"

    def plain():
        tf.image.ssim(tf.constant(ones[..., np.newaxis]), tf.constant(others[..., np.newaxis]), 1.0)

    plain()
    ssim_sums(maps[:1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours, theirs = [], []
    for _ in range(TURNS):
        ours.append(seconds(lambda: ssim_sums(maps[:1])))
        theirs.append(seconds(plain) / BATCH * pairs)
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    print(f"all {pairs} pairs of one image: {statistics.median(ours):.2f} s")
    print(f"by tf.image.ssim, from {BATCH} pairs: {statistics.median(theirs):.1f} s, ", end="")
    print(f"{statistics.median(ratios):.1f} times ({min(ratios):.1f} to {max(ratios):.1f})")
    taken = seconds(lambda: ssim_sums(maps))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{images} images: {taken:.1f} s, peak memory +{(after - before) / 1024:.0f} MB")
    rows = rng.choice(CHANNELS, CHANNELS // 10, replace=False)
    taken = seconds(lambda: ssim_sums(maps, rows))
    print(f"{images} images, {len(rows)} maps with all others: {taken:.1f} s")


if __name__ == "__main__":
    main()
