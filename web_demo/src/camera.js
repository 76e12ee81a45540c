import { InputError } from "./errors.js";
import { opaqueContext } from "./photo.js";

// What getUserMedia's errors mean, https://www.w3.org/TR/mediacapture-streams/#dom-mediadevices-getusermedia
const REASONS = {
  NotAllowedError: "The camera was refused: allow it for this page in the browser's settings, then start it again",
  NotFoundError: "No camera was found: connect one, or choose a photo",
  NotReadableError: "The camera cannot be read: another program may be using it",
};

/**
 * Frames of the webcam.
 *
 *   const camera = await Camera.open();
 *   while (await camera.nextFrame()) use(camera.canvas);
 */
export class Camera {
  canvas = document.createElement("canvas");
  /** Whether it faces the user, who expects a mirror. */
  facesUser = true;
  /** Whether the device ended it, not `close`. */
  unplugged = false;
  #video = document.createElement("video");
  #track;
  #wake = () => {};

  /** @throws {InputError} no camera, or not allowed */
  static async open() {
    // Also missing on pages that are neither https nor localhost.
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new InputError("This browser gives a camera only to pages of https or localhost");
    }
    const camera = new Camera();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 } },
      });
      [camera.#track] = stream.getVideoTracks();
      camera.facesUser = camera.#track.getSettings().facingMode !== "environment";
      camera.#track.onended = () => {
        camera.unplugged = true;
        camera.close();
      };
      Object.assign(camera.#video, { srcObject: stream, muted: true, playsInline: true });
      await camera.#video.play();
    } catch (error) {
      camera.close();
      throw new InputError(REASONS[error.name] ?? `The camera cannot be started: ${error.message}`);
    }
    return camera;
  }

  get isOpen() {
    return this.#track?.readyState === "live";
  }

  /** Waits for a frame and puts it into `canvas`; false where the camera was closed. */
  async nextFrame() {
    if (!this.isOpen) return false;
    await new Promise((resolve) => {
      this.#wake = resolve;
      if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(resolve);
      else requestAnimationFrame(resolve);
    });
    if (!this.isOpen) return false;
    const { videoWidth, videoHeight } = this.#video;
    if (this.canvas.width !== videoWidth || this.canvas.height !== videoHeight) {
      Object.assign(this.canvas, { width: videoWidth, height: videoHeight });
    }
    opaqueContext(this.canvas).drawImage(this.#video, 0, 0);
    return true;
  }

  close() {
    this.#track?.stop();
    this.#video.srcObject = null;
    this.#wake();
  }
}
