"""How alike the maps of one layer are. Needs no TensorFlow."""

from dataclasses import dataclass

import numpy as np

from flpn_tf.redundancy.rule import alike, intrinsic_share


@dataclass(frozen=True)
class Likeness:
    """How alike the maps of one layer are.

    Attributes:
        layer, stage: names.
        size: (H, W) of the maps.
        channels: C.
        filter_size: of SSIM's window.
        rows: (R,) places of the maps that were compared with all others.
        similarity: (R, C), SSIM clipped at 0, mean over the images; 1 of a map and itself.
        constant: how many maps were constant on every image.
    """

    layer: str
    stage: str
    size: tuple[int, int]
    channels: int
    filter_size: int
    rows: np.ndarray
    similarity: np.ndarray
    constant: int

    @property
    def sampled(self) -> bool:
        """Whether only some maps were compared with all others."""
        return len(self.rows) < self.channels

    def pairs(self) -> np.ndarray:
        """The similarity of each pair compared, once where all were."""
        if not self.sampled:
            return self.similarity[np.triu_indices(self.channels, 1)]
        others = np.ones(self.similarity.shape, bool)
        others[np.arange(len(self.rows)), self.rows] = False
        return self.similarity[others]

    def alike(self, threshold: float) -> np.ndarray:
        """As `rule.alike`."""
        return alike(self.similarity, self.rows, threshold)

    def intrinsic_error(self, threshold: float) -> float:
        """Standard error of `intrinsic_share`, 0 where all maps were compared."""
        if not self.sampled:
            return 0.0
        parts = 1 / (1 + self.alike(threshold))
        left_out = 1 - len(self.rows) / self.channels
        return float(np.sqrt(parts.var(ddof=1) / len(parts) * left_out))

    def intrinsic_share(self, threshold: float) -> float:
        """As `rule.intrinsic_share`."""
        return intrinsic_share(self.alike(threshold))
