/** Where to look for a person in the next frame, as `flpn_tf/runtime/tracking.py` says it. */
import { KEYPOINT_THRESHOLD, boxAround } from "./poses.js";

// The mean score of all joints from which a new person is believed, and a known one.
export const BELIEF_IN_NEW = 0.25;
export const BELIEF_IN_KNOWN = 0.2;
export const SEARCH_INTERVAL = 1; // seconds
const LARGER = 1.6; // the box of a search, in sides of the followed one
const FASTEST_SHRINKING = 0.03; // of the box's longer side, each edge in each frame

/**
 * The box around the joints; but an edge goes inwards slowly, from the last box as it moved with the joints, lest a
 * joint that is missed once be left out of every crop that follows.
 *
 * @param {{x: number, y: number, score: number}[]} pose this frame's keypoints, image pixels
 * @param before those of the frame before, or null
 * @param {number[]} box [x, y, w, h], where this pose was looked for
 */
export function nextBox(pose, before, [x, y, w, h]) {
  const around = boxAround(pose);
  if (!around) return [x, y, w, h];
  const [movedX, movedY] = before ? meanMove(pose, before) : [0, 0];
  const inwards = FASTEST_SHRINKING * Math.max(w, h);
  const left = Math.min(around[0], x + movedX + inwards);
  const top = Math.min(around[1], y + movedY + inwards);
  const right = Math.max(around[0] + around[2], x + w + movedX - inwards);
  const bottom = Math.max(around[1] + around[3], y + h + movedY - inwards);
  return [left, top, right - left, bottom - top];
}

/** Where to search for what a followed box leaves out. */
export function largerBox([x, y, w, h]) {
  return [x + (w - LARGER * w) / 2, y + (h - LARGER * h) / 2, LARGER * w, LARGER * h];
}

/** How the joints found in both poses moved, on average. */
function meanMove(pose, before) {
  let [x, y, common] = [0, 0, 0];
  pose.forEach((point, joint) => {
    if (!(Math.min(point.score, before[joint].score) > KEYPOINT_THRESHOLD)) return;
    x += point.x - before[joint].x;
    y += point.y - before[joint].y;
    common++;
  });
  return [x / Math.max(common, 1), y / Math.max(common, 1)];
}
