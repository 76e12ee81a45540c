import { drawBox, drawPose } from "./draw.js";

const MIN_DRAG = 6; // CSS pixels; less is a click
const MIN_SIDE = 24; // CSS pixels
const MAX_ASPECT = 8;

/** Whether a box is one that somebody would draw around a person, not a slip of the hand. */
export function isMeant([, , w, h], pixelsPerCss) {
  const [shorter, longer] = [Math.min(w, h), Math.max(w, h)];
  return shorter >= MIN_SIDE * pixelsPerCss && longer <= MAX_ASPECT * shorter;
}

/**
 * The picture with its skeleton, and the box a user drags on it: with a mouse at any time, with a finger or a pen, which
 * scroll, while `drawing`.
 *
 *   stage.show(canvas, pose, skeleton);
 *   stage.onBox = (box) => …  // [x, y, w, h], image pixels
 *   stage.onStart = () => …   // of a drag
 *   stage.onSlip = () => …    // instead of onBox, where the box `isMeant` for no person
 */
export class Stage {
  onBox = () => {};
  onStart = () => {};
  onSlip = () => {};
  #picture = null;
  #start = null;
  #pointer = null;

  /** @param {{view: HTMLCanvasElement, frame: HTMLElement, invitation: HTMLElement}} elements */
  constructor({ view, frame, invitation }) {
    this.view = view;
    this.frame = frame;
    this.invitation = invitation;
    this.clear();
    view.addEventListener("pointerdown", (event) => this.#press(event));
    view.addEventListener("pointermove", (event) => this.#isDragging(event) && this.#frameDrag(event));
    view.addEventListener("pointerup", (event) => this.#isDragging(event) && this.#release(event));
    view.addEventListener("pointercancel", (event) => this.#isDragging(event) && this.#cancel());
  }

  get drawing() {
    return this.view.classList.contains("drawing");
  }

  set drawing(on) {
    this.view.classList.toggle("drawing", on);
  }

  /**
   * @param {HTMLCanvasElement} picture
   * @param pose or null
   * @param skeleton of the pose
   * @param {{drawable?: boolean, mirrored?: boolean}} options whether a box may be dragged; whether it is a mirror
   */
  show(picture, pose, skeleton, { drawable = false, mirrored = false } = {}) {
    this.#picture = { picture, pose, skeleton };
    this.view.classList.toggle("drawable", drawable);
    this.view.classList.toggle("mirrored", mirrored);
    this.view.hidden = false;
    this.invitation.hidden = true;
    this.frame.classList.remove("empty");
    if (!this.#start) this.#draw();
  }

  clear() {
    this.#picture = null;
    this.#start = null;
    this.view.hidden = true;
    this.invitation.hidden = false;
    this.frame.classList.add("empty");
  }

  #draw() {
    const { picture, pose, skeleton } = this.#picture;
    const { view } = this;
    if (view.width !== picture.width || view.height !== picture.height) {
      Object.assign(view, { width: picture.width, height: picture.height });
    }
    const context = view.getContext("2d", { alpha: false });
    context.drawImage(picture, 0, 0);
    if (!pose) return context;
    if (this.view.classList.contains("drawable")) drawBox(context, pose.box, this.#pixelsPerCss());
    drawPose(context, pose, skeleton);
    return context;
  }

  #pixelsPerCss() {
    return this.view.width / (this.view.clientWidth || this.view.width);
  }

  /** Where a pointer is, in image pixels within the picture. */
  #place(event) {
    const { left, top, width, height } = this.view.getBoundingClientRect();
    const within = (value, size) => Math.min(Math.max(value, 0), size);
    return [
      within(((event.clientX - left) / width) * this.view.width, this.view.width),
      within(((event.clientY - top) / height) * this.view.height, this.view.height),
    ];
  }

  #press(event) {
    if (!this.view.classList.contains("drawable") || event.button !== 0 || !event.isPrimary) return;
    if (event.pointerType !== "mouse" && !this.drawing) return;
    this.view.setPointerCapture(event.pointerId);
    this.#pointer = event.pointerId;
    this.#start = this.#place(event);
    this.onStart();
  }

  #isDragging({ pointerId }) {
    return this.#start && pointerId === this.#pointer;
  }

  #dragged(event) {
    const [x, y] = this.#place(event);
    const [startX, startY] = this.#start;
    return [Math.min(x, startX), Math.min(y, startY), Math.abs(x - startX), Math.abs(y - startY)];
  }

  #frameDrag(event) {
    const { picture } = this.#picture;
    const context = this.view.getContext("2d");
    context.drawImage(picture, 0, 0);
    drawBox(context, this.#dragged(event), this.#pixelsPerCss());
  }

  #release(event) {
    const box = this.#dragged(event);
    const scale = this.#pixelsPerCss();
    this.#cancel();
    if (isMeant(box, scale)) this.onBox(box);
    else if (Math.max(box[2], box[3]) >= MIN_DRAG * scale) this.onSlip();
  }

  #cancel() {
    this.#start = null;
    if (this.#picture) this.#draw();
  }
}
