/**
 * The one-euro filter (Casiez, Roussel, Vogel, CHI 2012), as `flpn_tf/runtime/smoothing.py` has it: steady where
 * a joint rests, quick where it moves.
 */
import { KEYPOINT_THRESHOLD } from "./poses.js";

export const MIN_CUTOFF = 0.5; // Hz
export const BETA = 7.0; // Hz a box side per second
export const D_CUTOFF = 1.0; // Hz

/** Smooths one person's joints; speeds count in sides of the person's box a second. */
export class PoseSmoother {
  #time = null;
  #joints = [];

  constructor({ minCutoff = MIN_CUTOFF, beta = BETA, dCutoff = D_CUTOFF } = {}) {
    this.minCutoff = minCutoff;
    this.beta = beta;
    this.dCutoff = dCutoff;
  }

  /**
   * The keypoints with their places smoothed. A joint at or below `KEYPOINT_THRESHOLD` is left as it is, and
   * forgotten.
   *
   * @param keypoints {x, y, score}[]
   * @param time seconds, above that of the call before
   * @param box [x, y, w, h] of the person, in the unit of the keypoints
   */
  smooth(keypoints, time, box) {
    const elapsed = this.#time === null ? null : time - this.#time;
    if (elapsed !== null && !(elapsed > 0)) {
      throw new RangeError(`time must grow from call to call. Received: ${time} after ${this.#time}`);
    }
    this.#time = time;
    const side = Math.max(box[2], box[3]);
    this.#joints = keypoints.map(({ x, y, score }, joint) => {
      if (!(score > KEYPOINT_THRESHOLD)) return null;
      const past = this.#joints[joint];
      if (!past) return { x: { place: x, speed: 0 }, y: { place: y, speed: 0 } };
      return { x: this.#step(past.x, x, elapsed, side), y: this.#step(past.y, y, elapsed, side) };
    });
    return keypoints.map((point, joint) => {
      const state = this.#joints[joint];
      return state ? { x: state.x.place, y: state.y.place, score: point.score } : point;
    });
  }

  #step(past, value, elapsed, side) {
    const raw = (value - past.place) / elapsed;
    const speed = past.speed + weight(this.dCutoff, elapsed) * (raw - past.speed);
    const cutoff = this.minCutoff + (this.beta * Math.abs(speed)) / side;
    return { place: past.place + weight(cutoff, elapsed) * (value - past.place), speed };
  }
}

/** What a new sample counts in a first-order low-pass filter. */
function weight(cutoff, elapsed) {
  const angle = 2 * Math.PI * elapsed * cutoff;
  return angle / (angle + 1);
}
