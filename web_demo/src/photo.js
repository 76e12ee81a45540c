import { InputError } from "./errors.js";

export const MIN_SIDE = 8; // pixels; nothing smaller shows a person
const MAX_PIXELS = 2 ** 24; // of a canvas on iOS

/**
 * Decodes a photo, turned upright by its EXIF orientation as browsers do; one above `MAX_PIXELS` is scaled down.
 *
 * @param {File} file
 * @returns {Promise<HTMLCanvasElement>}
 * @throws {InputError} what this browser cannot decode
 */
export async function readPhoto(file) {
  if (file.size === 0) throw new InputError(`${file.name} is an empty file`);
  let bitmap;
  try {
    // The file's own values, as the other readers of this project take them: no colour profile.
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new InputError(`${file.name} is not an image that this browser can decode, or it is damaged`);
  }
  const { width, height } = bitmap;
  if (Math.min(width, height) < MIN_SIDE) {
    throw new InputError(
      `${file.name}: a photo needs at least ${MIN_SIDE}×${MIN_SIDE} pixels. Received: ${width}×${height}`,
    );
  }
  const scale = Math.min(1, Math.sqrt(MAX_PIXELS / (width * height)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.floor(width * scale);
  canvas.height = Math.floor(height * scale);
  opaqueContext(canvas).drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas;
}

/** A context to read pixels from; what is transparent becomes black. */
export function opaqueContext(canvas) {
  return canvas.getContext("2d", { alpha: false, willReadFrequently: true });
}

/** The pixels of a canvas of `readPhoto` or `Camera`. */
export function pixelsOf(canvas) {
  return opaqueContext(canvas).getImageData(0, 0, canvas.width, canvas.height);
}
