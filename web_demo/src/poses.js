/** What is said about a pose, as `flpn_tf/runtime` says it. */
import { keypointsToBox } from "./crop.js";

export const KEYPOINT_THRESHOLD = 0.2; // scores at or below it count as not found
const BOX_MARGIN = 0.08; // around the joints found, of the longer side

/** The keypoints that were found. */
export function foundKeypoints(keypoints) {
  return keypoints.filter(({ score }) => score > KEYPOINT_THRESHOLD);
}

/** The mean of the found keypoints' scores, 0 where none is. */
export function poseScore(keypoints) {
  const found = foundKeypoints(keypoints);
  return found.reduce((sum, { score }) => sum + score, 0) / Math.max(found.length, 1);
}

/** The person's box around the found keypoints; null where fewer than two were. */
export function boxAround(keypoints) {
  return keypointsToBox(keypoints, KEYPOINT_THRESHOLD, BOX_MARGIN);
}

/** The mean score of all joints: how far to believe that this is a person. */
export function belief(keypoints) {
  return keypoints.reduce((sum, { score }) => sum + score, 0) / keypoints.length;
}
