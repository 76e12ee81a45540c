"""Specs, heatmaps and boxes to try the Java library with: random ones and the corners."""

import numpy as np

from flpn_tf.codec import HeatmapCodec
from flpn_tf.skeleton import COCO_17
from flpn_tf.spec import PoseSpec

# Input height, input width, stride, sigma: tall, wide and square ones, and the smallest there is.
SIZES = ((192, 160, 4, 2.0), (96, 128, 4, 2.0), (64, 24, 2, 1.0), (60, 60, 4, 3.0), (12, 16, 4, 2.0))
JOINTS = COCO_17.subset(range(7))


def spec(size, **fields) -> PoseSpec:
    height, width, stride, sigma = size
    return PoseSpec(
        **{
            "name": "of a test",
            "architecture": {},
            "input_height": height,
            "input_width": width,
            "output_height": height // stride,
            "output_width": width // stride,
            "skeleton": JOINTS,
            "mean": (0.0, 0.0, 0.0),
            "std": (1.0, 1.0, 1.0),
            "stride": stride,
            "sigma": sigma,
        }
        | fields
    )


def heatmaps(spec: PoseSpec, rng) -> dict[str, np.ndarray]:
    """Kind → ``(H, W, K)`` float32 heatmaps."""
    shape = (spec.output_height, spec.output_width, len(spec.skeleton))
    height, width, joints = shape
    unbiased = HeatmapCodec(height, width, 1, spec.sigma)

    def drawn(points):
        return unbiased.encode(points, np.ones(joints))[0]

    last = np.array([width - 1, height - 1])
    inside = rng.uniform(0, 1, (joints, 2)) * last
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0), (1, 0.5), (0, 0.5)]) * last
    one_pixel = np.zeros(shape, np.float32)
    for joint, (column, row) in enumerate(np.rint(corners).astype(int)):
        one_pixel[row, column, joint] = 0.7
    equal = np.maximum(drawn(inside), drawn(last - inside))
    equal[tuple(np.rint(inside[0]).astype(int)[::-1])] = 1.0
    equal[tuple(np.rint(last - inside[0]).astype(int)[::-1])] = 1.0
    plateau = np.minimum(drawn(inside), 0.6)
    broken = drawn(inside) + rng.normal(0, 0.02, shape).astype(np.float32)
    broken[rng.random(shape) < 0.01] = np.nan
    broken[rng.random(shape) < 0.01] = np.inf
    # A NaN in every map: the Python codec then counts -inf as 0 too, as it says.
    broken[0, 0], broken[height // 2, 0] = np.nan, -np.inf
    return {
        "gaussians": drawn(inside),
        "noisy": (0.4 * drawn(inside) + rng.normal(0, 0.03, shape)).astype(np.float32),
        "corners": drawn(corners),
        "outside": drawn(corners * 1.04 - 0.02 * last + rng.uniform(-0.5, 0.5, corners.shape)),
        "one pixel": one_pixel,
        "flat": np.full(shape, 0.3, np.float32),
        "zeros": np.zeros(shape, np.float32),
        "negative": (-rng.random(shape) - 0.01).astype(np.float32),
        "equal peaks": equal,
        "plateau": plateau,
        "noise": rng.normal(0, 1, shape).astype(np.float32),
        "two people": (drawn(inside) + 0.98 * drawn(inside + rng.uniform(-6, 6, inside.shape))).astype(
            np.float32
        ),
        "tiny": drawn(inside) * np.float32(1e-30),
        "huge": drawn(inside) * np.float32(1e30),
        "broken": broken,
    }


FLOAT_ONLY = ("tiny", "huge", "broken")


def stored(heatmaps: np.ndarray, dtype: str) -> tuple[np.ndarray, float, int]:
    """Heatmaps as a quantised model would store them, with scale and zero point."""
    limits = np.iinfo(dtype)
    low, high = min(heatmaps.min(), 0.0), max(heatmaps.max(), 0.0)
    scale = float(np.float32((high - low) / 255 or 1.0))
    zero_point = int(np.clip(np.rint(limits.min - low / scale), limits.min, limits.max))
    values = np.clip(np.rint(heatmaps / scale) + zero_point, limits.min, limits.max)
    return values.astype(dtype), scale, zero_point


def decode_cases(seed: int = 0) -> dict[str, tuple[PoseSpec, np.ndarray]]:
    """Name → spec (its decode rule is to be tried) and stored output."""
    rng = np.random.default_rng(seed)
    cases = {}
    for size in SIZES:
        for kind, maps in heatmaps(spec(size), rng).items():
            for dtype in ("float32", "uint8", "int8"):
                if dtype == "float32":
                    values, quantised = maps, {}
                elif kind in FLOAT_ONLY:
                    continue
                else:
                    values, scale, zero_point = stored(maps, dtype)
                    quantised = {"output_scale": scale, "output_zero_point": zero_point}
                for rule in ("argmax", "quarter", "dark"):
                    of_case = spec(size, output_dtype=dtype, decode_rule=rule, **quantised)
                    cases[f"{size[0]}x{size[1]} {kind} {dtype} {rule}"] = of_case, values
    return cases


def dequantised(spec: PoseSpec, values: np.ndarray) -> np.ndarray:
    """As the Python runtime does it."""
    return (values.astype(np.float32) - spec.output_zero_point) * np.float32(spec.output_scale)


def decoded(spec: PoseSpec, values: np.ndarray) -> np.ndarray:
    """``(K, 3)`` by the Python codec."""
    return spec.codec.decode(dequantised(spec, values))


def pictures(rng) -> dict[str, np.ndarray]:
    """Name → ``(H, W, 3)`` uint8: noise, the worst there is for a resample, tall, wide and tiny."""
    sizes = {"tall": (90, 50), "wide": (40, 110), "two pixels": (1, 2), "large": (700, 900)}
    return {name: rng.integers(0, 256, (*size, 3), dtype=np.uint8) for name, size in sizes.items()}


def boxes(height: int, width: int) -> dict[str, list[float]]:
    return {
        "whole": [0.0, 0.0, width, height],
        "inside": [0.21 * width, 0.17 * height, 0.37 * width, 0.55 * height],
        "over the edge": [0.7 * width, -0.4 * height, 0.9 * width, 0.8 * height],
        "outside": [3.0 * width, 3.0 * height, 5.0, 8.0],
        "tiny": [0.4 * width, 0.4 * height, 0.02, 0.05],
        "huge": [-4e5, -3e5, 8e5, 6e5],
        "flat": [0.0, 0.5 * height, width, 0.5],
    }


def crop_cases(seed: int = 1):
    """Name → (spec, picture, box)."""
    rng = np.random.default_rng(seed)
    cases, dtypes = {}, ("uint8", "float32")
    for number, (kind, picture) in enumerate(pictures(rng).items()):
        for name, box in boxes(*picture.shape[:2]).items():
            for size, padding in zip(SIZES[:3], (1.25, 1.0, 1.6), strict=True):
                of_case = spec(size, input_dtype=dtypes[(number + len(cases)) % 2], padding=padding)
                cases[f"{kind} {name} {size[0]}x{size[1]}"] = of_case, picture, box
    return cases
