/**
 * Heatmaps → keypoints, as `flpn_tf/codec.py` decodes them.
 *
 *   heatmaps  Float32Array, height · width · joints, the joints innermost; index i ↔ crop pixel stride · i
 *
 * The rule "dark" is that of Zhang et al. 2020, Distribution-Aware Coordinate Representation for Human Pose
 * Estimation: smooth with a gaussian, then one Newton step on the logarithm.
 */

const BLUR_SIGMAS = 2.5; // half-width of the smoothing kernel
const LOG_FLOOR = 1e-3; // smallest value, as a fraction of the peak, that the logarithm sees
const MIN_DETERMINANT = 1e-9; // of the Hessian of a peak
const TINY = 2 ** -126; // the smallest normal float32

/**
 * @param {Float32Array} heatmaps
 * @param {{height: number, width: number, joints: number, stride: number, sigma: number, rule: string}} codec
 * @returns {{x: number, y: number, score: number}[]} in crop pixels; the score is the map's highest value, 0
 *   where nothing is above 0
 */
export function decode(heatmaps, codec) {
  const { width, joints, stride, rule } = codec;
  let maps = heatmaps;
  let peaks = findPeaks(maps, joints);
  if (!peaks.every((peak, joint) => Number.isFinite(maps[peak * joints + joint]))) {
    maps = maps.map((value) => (Number.isFinite(value) ? value : 0));
    peaks = findPeaks(maps, joints);
  }
  return peaks.map((peak, joint) => {
    const score = maps[peak * joints + joint];
    let [x, y] = [peak % width, Math.floor(peak / width)];
    if (!(score > 0)) return { x: x * stride, y: y * stride, score: 0 };
    const value = (column, row) => maps[(row * width + column) * joints + joint];
    if (rule !== "argmax") {
      const [dx, dy] = rule === "dark" ? newton(value, x, y, score, codec) : quarter(value, x, y, codec);
      x += dx;
      y += dy;
    }
    return { x: x * stride, y: y * stride, score };
  });
}

/** The first highest pixel of each map; the first NaN counts as highest. */
function findPeaks(maps, joints) {
  const peaks = new Array(joints).fill(0);
  const highest = Array.from({ length: joints }, (_, joint) => maps[joint]);
  for (let i = joints; i < maps.length; i++) {
    const joint = i % joints;
    if (maps[i] > highest[joint] || (Number.isNaN(maps[i]) && !Number.isNaN(highest[joint]))) {
      highest[joint] = maps[i];
      peaks[joint] = (i - joint) / joints;
    }
  }
  return peaks;
}

/** A quarter pixel towards the higher neighbour; a missing one counts as lower. */
function quarter(value, x, y, { height, width }) {
  const inside = (column, row) =>
    column >= 0 && row >= 0 && column < width && row < height ? value(column, row) : -Infinity;
  const towards = (after, before) => 0.25 * ((after > before) - (after < before));
  return [
    towards(inside(x + 1, y), inside(x - 1, y)),
    towards(inside(x, y + 1), inside(x, y - 1)),
  ];
}

/** The offset, within ±1, to the maximum of the smoothed map's logarithm around the peak. */
function newton(value, x, y, score, { height, width, sigma }) {
  const column = Math.min(Math.max(x, 1), width - 2);
  const row = Math.min(Math.max(y, 1), height - 2);
  const reach = Math.ceil(BLUR_SIGMAS * sigma);
  const across = gaussian(Math.min(column - 1, width - 2 - column, reach), sigma);
  const down = gaussian(Math.min(row - 1, height - 2 - row, reach), sigma);
  const floor = Math.max(score, TINY) * LOG_FLOOR;
  const log = smoothed3x3(value, column, row, across, down).map((each) => Math.log(Math.max(each, floor)));
  const at = (i, j) => log[3 * (j + 1) + i + 1];
  const dx = (at(1, 0) - at(-1, 0)) / 2;
  const dy = (at(0, 1) - at(0, -1)) / 2;
  const dxx = at(1, 0) - 2 * at(0, 0) + at(-1, 0);
  const dyy = at(0, 1) - 2 * at(0, 0) + at(0, -1);
  const dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4;
  const determinant = dxx * dyy - dxy * dxy;
  if (!(dxx < 0 && determinant > MIN_DETERMINANT)) return [0, 0];
  const within = (offset) => Math.min(Math.max(offset, -1), 1);
  return [
    within(column - x + (dxy * dy - dyy * dx) / determinant),
    within(row - y + (dxy * dx - dxx * dy) / determinant),
  ];
}

function gaussian(radius, sigma) {
  const taps = Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * sigma * sigma)),
  );
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return taps.map((tap) => tap / sum);
}

/** The 3 × 3 values around (column, row) of the map smoothed by the two kernels; they reach no border. */
function smoothed3x3(value, column, row, across, down) {
  const rx = (across.length - 1) / 2;
  const ry = (down.length - 1) / 2;
  const result = new Array(9).fill(0);
  for (let j = -ry - 1; j <= ry + 1; j++) {
    const line = [0, 0, 0];
    for (let i = -rx - 1; i <= rx + 1; i++) {
      const pixel = value(column + i, row + j);
      if (!Number.isFinite(pixel)) continue;
      for (let shift = -1; shift <= 1; shift++) line[shift + 1] += pixel * (across[i - shift + rx] ?? 0);
    }
    for (let shift = -1; shift <= 1; shift++) {
      const weight = down[j - shift + ry] ?? 0;
      for (let k = 0; k < 3; k++) result[3 * (shift + 1) + k] += weight * line[k];
    }
  }
  return result;
}
