/**
 * Boxes, crop affines and the one resample, as `flpn_tf/geometry.py` has them.
 *
 *   box     [x, y, w, h], image pixels, pixel centres at integers, origin top-left
 *   affine  [a, b, c, d, e, f]: x' = a·x + b·y + c, y' = d·x + e·y + f
 *   image   ImageData, or anything with width, height and RGBA bytes in data
 */
import { InputError } from "./errors.js";

export const MIN_BOX_SIDE = 0.01; // pixels
export const MAX_COORDINATE = 1e6; // pixels

/**
 * The affine from image pixels to the pixels of a height × width crop around a box: the box's centre goes to
 * the crop's, its shorter side is first enlarged to the crop's aspect.
 */
export function cropAffine([x, y, w, h], height, width, padding) {
  const shownWidth = Math.max(w, (h * width) / height);
  const zoom = width / (padding * shownWidth);
  return [zoom, 0, width / 2 - zoom * (x + w / 2), 0, zoom, height / 2 - zoom * (y + h / 2)];
}

export function invertAffine([a, b, c, d, e, f]) {
  const scale = 1 / (a * e - b * d);
  const [p, q, r, s] = [e * scale, -b * scale, -d * scale, a * scale];
  return [p, q, -(p * c + q * f), r, s, -(r * c + s * f)];
}

/** The keypoints, {x, y, score}, moved. */
export function transformKeypoints(keypoints, [a, b, c, d, e, f]) {
  return keypoints.map(({ x, y, score }) => ({ x: a * x + b * y + c, y: d * x + e * y + f, score }));
}

/**
 * Resamples an image into a crop: pixel (u, v) takes the bilinear value at the image point that the affine
 * sends there; outside the image is 0; the result is rounded. A canvas would filter and blend otherwise.
 *
 * Computed in single precision in OpenCV's order: an int8 network may answer one grey level by pixels.
 *
 * @param Values Uint8Array or Float32Array
 * @returns {Uint8Array|Float32Array} height · width · 3 RGB values, 0–255
 */
export function warp(image, affine, height, width, Values = Uint8Array) {
  const { data, width: columns, height: rows } = image;
  const [a, b, c, d, e, f] = invertAffine(affine).map(Math.fround);
  const crop = new Uint8ClampedArray(height * width * 3); // rounds, a half to the even number
  let at = 0;
  for (let v = 0; v < height; v++) {
    const startX = fround(fround(b * v) + c);
    const startY = fround(fround(e * v) + f);
    for (let u = 0; u < width; u++, at += 3) {
      const x = fround(a * u + startX);
      const y = fround(d * u + startY);
      const left = Math.floor(x);
      const top = Math.floor(y);
      if (!(left >= -1 && top >= -1 && left < columns && top < rows)) continue;
      const hasLeft = left >= 0;
      const hasRight = left + 1 < columns;
      const hasTop = top >= 0;
      const hasBottom = top + 1 < rows;
      const corner = 4 * (top * columns + left);
      for (let channel = 0; channel < 3; channel++) {
        const first = corner + channel;
        const second = first + 4 * columns;
        const upper = between(
          hasTop && hasLeft ? data[first] : 0,
          hasTop && hasRight ? data[first + 4] : 0,
          x - left,
        );
        const lower = between(
          hasBottom && hasLeft ? data[second] : 0,
          hasBottom && hasRight ? data[second + 4] : 0,
          x - left,
        );
        crop[at + channel] = between(upper, lower, y - top);
      }
    }
  }
  return Values === Uint8Array ? new Uint8Array(crop.buffer) : Values.from(crop);
}

const { fround } = Math;
const between = (low, high, part) => fround(low + fround(part * fround(high - low)));

/**
 * The box around the keypoints that score above `minScore`, `margin` of its longer side added on every side;
 * null where fewer than two qualify.
 */
export function keypointsToBox(keypoints, minScore, margin) {
  const found = keypoints.filter(({ score }) => score > minScore);
  if (found.length < 2) return null;
  const xs = found.map(({ x }) => x);
  const ys = found.map(({ y }) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const added = 2 * margin * Math.max(right - left, bottom - top);
  const width = Math.max(right - left + added, 1);
  const height = Math.max(bottom - top + added, 1);
  return [(left + right - width) / 2, (top + bottom - height) / 2, width, height];
}

/** Whether a box touches an image. */
export function touches([x, y, w, h], { width, height }) {
  return x < width && y < height && x + w > 0 && y + h > 0;
}

/** Returns the box, or throws an `InputError` that says what is wrong with it. */
export function checkBox(box, image) {
  if (box.length !== 4 || !box.every((side) => Math.abs(side) <= MAX_COORDINATE)) {
    throw new InputError(`A box is four numbers, x, y, width and height. Received: ${box.join(", ")}`);
  }
  if (!(Math.min(box[2], box[3]) >= MIN_BOX_SIDE)) {
    throw new InputError(`A box needs a width and a height above 0. Received: ${box.join(", ")}`);
  }
  if (!touches(box, image)) {
    const size = `${image.width}×${image.height}`;
    throw new InputError(`The box must touch the ${size} picture. Received: ${box.join(", ")}`);
  }
  return box;
}
