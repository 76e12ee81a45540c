"""Whether a smart network's cheap maps look like the intrinsic maps that they are made from.

For each stage: SSIM of the cheap maps and their own intrinsic map, SSIM of all pairs, and how often the map
most alike to a cheap map is its own intrinsic map (by chance once in as many as there are other maps).
"""

import argparse

import numpy as np

from flpn_tf.data.crops import sample_crops
from flpn_tf.data.sources import read_people
from flpn_tf.layers import SmartBottleneck
from flpn_tf.models.load import load_network
from flpn_tf.redundancy.measure import measure_likeness

CROPS = 64


def pairs_of(block: SmartBottleneck) -> list[tuple[int, int]]:
    """(cheap, intrinsic) channels of a block's last smart module."""
    intrinsic = -(-block.filters // block.ratio)
    # A grouped convolution puts the outputs of the first map first, then those of the second.
    return [(cheap, (cheap - intrinsic) // (block.ratio - 1)) for cheap in range(intrinsic, block.filters)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", help=".keras of a network with smart blocks")
    parser.add_argument("data", help="a data set that flpn evaluate takes")
    given = parser.parse_args()
    network = load_network(given.model)
    padding = network.pose_spec().padding
    crops = sample_crops(read_people(given.data).records, CROPS, *network.image_size, padding)
    stages = {}
    for found in measure_likeness(network, crops.astype(np.float32), pairs=2**31):
        block = network.get_layer(found.layer)
        matrix = found.similarity.copy()
        np.fill_diagonal(matrix, -1)
        cheap, intrinsic = np.array(pairs_of(block)).T
        stages.setdefault(found.stage, []).append(
            (found.similarity[cheap, intrinsic], found.pairs(), matrix[cheap].argmax(axis=1) == intrinsic)
        )
    for stage, parts in stages.items():
        own, all_pairs, nearest = (np.concatenate(part) for part in zip(*parts, strict=True))
        low, median, high = np.percentile(own, (10, 50, 90))
        print(
            f"{stage}: cheap and own intrinsic map {median:.2f} ({low:.2f} to {high:.2f}), all pairs "
            f"{np.median(all_pairs):.2f}; nearest is its own {100 * nearest.mean():.0f} % of {len(own)}"
        )


if __name__ == "__main__":
    main()
