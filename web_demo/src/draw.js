/** The skeleton on a canvas, as `flpn_tf/runtime/draw.py` draws it. */
import { KEYPOINT_THRESHOLD } from "./poses.js";

// Sides are the person's own left and right.
export const COLOURS = { left: "rgb(255 140 0)", right: "rgb(0 160 255)", none: "rgb(60 220 90)" };
const WIDTH_PER_SIDE = 1 / 80; // line width as a fraction of the person's longer box side
const MIN_WIDTH_PER_SIDE = 1 / 300; // …but at least this fraction of the picture's longer side

/**
 * @param {CanvasRenderingContext2D} context of a canvas in image pixels
 * @param {{box: number[], keypoints: {x: number, y: number, score: number}[]}} pose
 * @param {{names: string[], limbs: number[][]}} skeleton
 */
export function drawPose(context, { box, keypoints }, { names, limbs }) {
  const { width, height } = context.canvas;
  const side = Math.max(Math.max(box[2], box[3]) * WIDTH_PER_SIDE, Math.max(width, height) * MIN_WIDTH_PER_SIDE);
  const line = Math.max(1, Math.round(side));
  const colours = names.map((name) => COLOURS[jointSide(name)]);
  const shown = keypoints.map(({ score }) => score > KEYPOINT_THRESHOLD);
  context.save();
  context.translate(0.5, 0.5); // a canvas counts from the first pixel's corner, we from its centre
  context.lineWidth = line;
  context.lineCap = "round";
  for (const [a, b] of limbs) {
    if (!shown[a] || !shown[b]) continue;
    context.strokeStyle = colours[a] === colours[b] ? colours[a] : COLOURS.none;
    context.beginPath();
    context.moveTo(keypoints[a].x, keypoints[a].y);
    context.lineTo(keypoints[b].x, keypoints[b].y);
    context.stroke();
  }
  keypoints.forEach(({ x, y }, joint) => {
    if (!shown[joint]) return;
    context.fillStyle = colours[joint];
    context.beginPath();
    context.arc(x, y, line + 1, 0, 2 * Math.PI);
    context.fill();
  });
  context.restore();
}

/** A box as a dashed frame, `line` image pixels wide. */
export function drawBox(context, [x, y, w, h], line) {
  context.save();
  context.lineWidth = line;
  for (const [colour, offset] of [["rgb(0 0 0 / 60%)", 0], ["white", 4 * line]]) {
    context.strokeStyle = colour;
    context.setLineDash([4 * line, 4 * line]);
    context.lineDashOffset = offset;
    context.strokeRect(x + 0.5, y + 0.5, w, h);
  }
  context.restore();
}

/** "left", "right" or "none": a joint's name holds it, or l or r as a word. */
export function jointSide(name) {
  const words = (name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g) ?? []).map((word) => word.toLowerCase());
  const says = (side) => name.toLowerCase().includes(side) || words.includes(side[0]);
  return ["left", "right"].find(says) ?? "none";
}
