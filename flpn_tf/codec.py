"""HeatmapCodec: keypoints ↔ heatmaps, one owner for both directions.

    H, W   the heatmap's height and width; heatmap index ``i`` ↔ crop pixel ``stride * i``
    K      joints
    σ      ``sigma``, the gaussian's standard deviation in heatmap pixels

Targets follow Xiao et al. 2018 (peak 1, window 3σ). The rule ``"dark"`` is Zhang et al. 2020,
*Distribution-Aware Coordinate Representation for Human Pose Estimation*, §3.1: smooth with a gaussian,
then one Newton step on the logarithm.
"""

from dataclasses import dataclass

import numpy as np

from flpn_tf.errors import InputError
from flpn_tf.skeleton import Skeleton

DECODE_RULES = ("argmax", "quarter", "dark")

WINDOW_SIGMAS = 3.0  # a target is 0 beyond this many σ
_BLUR_SIGMAS = 2.5  # half-width of the smoothing kernel: 11 taps at σ = 2, as the reference code has
LOG_FLOOR = 1e-3  # smallest value, as a fraction of the peak, that the logarithm sees


@dataclass(frozen=True)
class HeatmapCodec:
    """Encodes points as gaussians and decodes heatmaps to points.

    Attributes:
        height, width: of the heatmap, at least 3.
        stride: crop pixels a heatmap pixel.
        sigma: of the gaussian, heatmap pixels.
        unbiased: centre the gaussian on the sub-pixel point; False rounds to the nearest pixel, as the
            original code does.
        decode_rule: ``"argmax"``, ``"quarter"`` (a quarter pixel towards the higher neighbour) or ``"dark"``.

    **Borders.** ``quarter`` counts a missing neighbour as lower. ``dark`` expands around the peak, moved one
    pixel inside where it lies on the border, and its smoothing kernel shrinks on each axis to the half-width
    that fits the map on both sides, down to no smoothing; the answer stays within one pixel of the peak.
    (`docs/decisions.md` compares the alternatives: padding the smoothing with zeros, or renormalising it,
    pulls points near the border up to 1.5 pixels away.)
    """

    height: int
    width: int
    stride: int = 4
    sigma: float = 2.0
    unbiased: bool = True
    decode_rule: str = "dark"

    def __post_init__(self):
        if self.height < 3 or self.width < 3:
            raise InputError(
                f"A heatmap needs at least 3x3 pixels. Received: height={self.height}, width={self.width}"
            )
        if not self.stride > 0 or not self.sigma > 0:
            raise InputError(
                f"stride and sigma must be positive. Received: stride={self.stride}, sigma={self.sigma}"
            )
        check_decode_rule(self.decode_rule)

    def encode(self, points, visible) -> tuple[np.ndarray, np.ndarray]:
        """Draws one gaussian a joint.

        Args:
            points: ``(K, 2)`` in crop pixels.
            visible: ``(K,)``; above 0 means labelled.

        Returns:
            heatmaps ``(H, W, K)`` float32 with values in [0, 1], and weights ``(K,)`` float32: 1, or 0 where
            the joint is unlabelled or its window lies outside the map (those heatmaps are all 0).
        """
        centres = np.asarray(points, dtype=np.float64) / self.stride
        labelled = (np.asarray(visible) > 0) & np.isfinite(centres).all(axis=-1)
        centres = np.where(labelled[:, None], centres, 0.0)
        if not self.unbiased:
            centres = np.floor(centres + 0.5)
        columns = self._profile(centres[:, 0], self.width)
        rows = self._profile(centres[:, 1], self.height)
        weights = labelled & columns.any(axis=0) & rows.any(axis=0)
        heatmaps = rows[:, None] * columns[None] * weights
        return heatmaps.astype(np.float32), weights.astype(np.float32)

    def _profile(self, centres: np.ndarray, size: int) -> np.ndarray:
        """``(size, K)``: the windowed gaussian of each centre along one axis."""
        distance = np.arange(size)[:, None] - centres[None]
        profile = np.exp(-(distance**2) / (2 * self.sigma**2))
        return np.where(np.abs(distance) <= WINDOW_SIGMAS * self.sigma, profile, 0.0)

    def decode(self, heatmaps: np.ndarray) -> np.ndarray:
        """Finds each map's point.

        Args:
            heatmaps: ``(..., H, W, K)``.

        Returns:
            ``(..., K, 3)`` float64 ``(x, y, score)``, x and y in crop pixels, the score the map's highest
            value. Always finite: NaN and infinities count as 0, and a map with nothing above 0 gives its
            first highest pixel and score 0.

        Raises:
            InputError: the shape is not ``(..., height, width, K)``.
        """
        heatmaps = np.asarray(heatmaps)
        if heatmaps.ndim < 3 or heatmaps.shape[-3:-1] != (self.height, self.width):
            raise InputError(
                f"Heatmaps must be (..., {self.height}, {self.width}, K). Received: shape {heatmaps.shape}"
            )
        *batch, height, width, joints = heatmaps.shape
        maps = np.moveaxis(heatmaps.reshape(-1, height, width, joints), 3, 1).reshape(-1, height, width)
        maps = np.ascontiguousarray(maps, dtype=np.float32)
        peaks = maps.reshape(-1, height * width).argmax(axis=1)
        every = np.arange(len(maps))
        scores = maps.reshape(-1, height * width)[every, peaks]
        if not np.isfinite(scores).all():
            maps = np.nan_to_num(maps, nan=0.0, posinf=0.0, neginf=0.0)
            peaks = maps.reshape(-1, height * width).argmax(axis=1)
            scores = maps.reshape(-1, height * width)[every, peaks]
        found = scores > 0
        y, x = np.divmod(peaks, width)
        position = np.stack([x, y], axis=1)
        offset = np.zeros(position.shape)
        if self.decode_rule == "quarter":
            offset = self._quarter(maps, position)
        elif self.decode_rule == "dark":
            offset = self._newton(maps, position, scores)
        points = (position + offset * found[:, None]) * self.stride
        result = np.column_stack([points, np.where(found, scores, 0.0)])
        return result.reshape(*batch, joints, 3)

    def _quarter(self, maps: np.ndarray, position: np.ndarray) -> np.ndarray:
        """``(N, 2)`` offsets of ±¼ or 0."""
        every = np.arange(len(maps))
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
        x, y = position.T + 1
        right, left = padded[every, y, x + 1], padded[every, y, x - 1]
        below, above = padded[every, y + 1, x], padded[every, y - 1, x]
        # Compared, not subtracted: two infinite neighbours have no difference.
        towards = [(right > left) * 1.0 - (right < left), (below > above) * 1.0 - (below < above)]
        return 0.25 * np.stack(towards, axis=1)

    def _newton(self, maps: np.ndarray, position: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """``(N, 2)`` offsets, each within ±1, to the maximum of the smoothed map's logarithm."""
        last = np.array([self.width, self.height]) - 2
        centre = np.clip(position, 1, last)
        kernels = self.smoothing_rows()
        reach = kernels.shape[0] - 1
        fits = np.minimum(np.minimum(centre - 1, last - centre), reach)
        around = np.arange(-reach - 1, reach + 2)
        # The clipped indices meet kernel weights of 0: `fits` keeps the kernel inside the map.
        columns = np.clip(centre[:, :1] + around, 0, self.width - 1)
        rows = np.clip(centre[:, 1:] + around, 0, self.height - 1)
        patch = maps[np.arange(len(maps))[:, None, None], rows[:, :, None], columns[:, None, :]]
        patch = np.where(np.isfinite(patch), patch, 0.0)
        smooth = kernels[fits[:, 1]] @ patch @ kernels[fits[:, 0]].transpose(0, 2, 1)
        floor = np.maximum(scores, np.finfo(np.float32).tiny) * LOG_FLOOR
        log = np.log(np.maximum(smooth, floor[:, None, None]))
        dx = (log[:, 1, 2] - log[:, 1, 0]) / 2
        dy = (log[:, 2, 1] - log[:, 0, 1]) / 2
        dxx = log[:, 1, 2] - 2 * log[:, 1, 1] + log[:, 1, 0]
        dyy = log[:, 2, 1] - 2 * log[:, 1, 1] + log[:, 0, 1]
        dxy = (log[:, 2, 2] - log[:, 2, 0] - log[:, 0, 2] + log[:, 0, 0]) / 4
        determinant = dxx * dyy - dxy**2
        # Only a peak (negative definite Hessian) has a maximum to go to.
        is_peak = (dxx < 0) & (determinant > 1e-9)
        safe = np.where(is_peak, determinant, 1.0)
        step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=1) / safe[:, None]
        offset = np.where(is_peak[:, None], centre - position + step, 0.0)
        return np.clip(offset, -1.0, 1.0)

    def smoothing_rows(self) -> np.ndarray:
        """``(R+1, 3, 2R+3)``: for each half-width r ≤ R, the kernel centred on -1, 0 and +1."""
        reach = int(np.ceil(_BLUR_SIGMAS * self.sigma))
        rows = np.zeros((reach + 1, 3, 2 * reach + 3))
        for radius in range(reach + 1):
            taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * self.sigma**2))
            for shift in range(3):
                start = reach + shift - radius
                rows[radius, shift, start : start + len(taps)] = taps / taps.sum()
        return rows


def check_decode_rule(rule: str) -> str:
    """Returns ``rule`` or raises `InputError` naming the rules there are."""
    if rule not in DECODE_RULES:
        raise InputError(f"The decode rule must be one of {', '.join(DECODE_RULES)}. Received: {rule!r}")
    return rule


def flip_heatmaps(heatmaps: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Brings the heatmaps of a mirrored crop back to the first crop's frame (flip test, Xiao et al. 2018).

    Mirrors the columns, swaps the skeleton's flip pairs and shifts one pixel to the right (the first column
    keeps its values): with index ``i`` ↔ crop pixel ``stride * i``, a mirrored map lies
    ``(stride - 1) / stride`` of a pixel too far left.

    Args:
        heatmaps: ``(..., H, W, K)`` of the crop whose column ``u`` became ``width - 1 - u``.
        skeleton: says which joints change places.

    Returns:
        ``(..., H, W, K)``, a new array.
    """
    mirrored = heatmaps[..., ::-1, skeleton.flip_permutation]
    return np.concatenate([mirrored[..., :1, :], mirrored[..., :-1, :]], axis=-2)
