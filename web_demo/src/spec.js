/**
 * `pose_spec.json`, read from inside the `.tflite` (a ZIP archive after the model, as `flpn_tf/spec.py` appends
 * it): what a model expects and gives. Nothing here knows these values by heart.
 */
import { InputError } from "./errors.js";

export const SPEC_VERSION = 1;
const SPEC_FILE = "pose_spec.json";

const whole = (value) => Number.isInteger(value) && value > 0;
const between = (low, high) => (value) => typeof value === "number" && value >= low && value <= high;
const oneOf = (...choices) => [(value) => choices.includes(value), choices.map((c) => JSON.stringify(c)).join(" or ")];
const indices = (pairs, count) =>
  Array.isArray(pairs) &&
  pairs.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every((i) => Number.isInteger(i) && i >= 0 && i < count));

// Field → (is it right, what it must be). The types are those that LiteRT.js has arrays for.
const FIELDS = {
  name: [(value) => typeof value === "string" && value !== "", "a text"],
  "input.height": [whole, "a whole number above 0"],
  "input.width": [whole, "a whole number above 0"],
  "input.layout": oneOf("NHWC"),
  "input.color": oneOf("RGB"),
  "input.dtype": oneOf("uint8", "float32"),
  "input.range": [(value) => JSON.stringify(value) === "[0,255]", "[0, 255]"],
  "input.normalised_inside": oneOf(true),
  "crop.padding": [between(0.1, 10), "a number from 0.1 to 10"],
  "crop.interpolation": oneOf("bilinear"),
  "crop.border": oneOf(0),
  "output.height": [(value) => whole(value) && value >= 3, "a whole number, 3 or more"],
  "output.width": [(value) => whole(value) && value >= 3, "a whole number, 3 or more"],
  "output.dtype": oneOf("float32", "uint8"),
  "output.scale": [(value) => Number.isFinite(value) && value > 0, "a number above 0"],
  "output.zero_point": [Number.isInteger, "a whole number"],
  "decode.rule": oneOf("argmax", "quarter", "dark"),
  "decode.stride": [whole, "a whole number above 0"],
  "decode.sigma": [between(0.1, 64), "a number from 0.1 to 64"],
  "skeleton.names": [
    (value) => Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === "string"),
    "a list of names",
  ],
  "skeleton.limbs": [(value, spec) => indices(value, spec.skeleton.names.length), "pairs of joints' numbers"],
};

/**
 * The spec of a text, checked.
 *
 * @param {string} text
 * @param {string} source what messages call it
 * @throws {InputError} naming the field
 */
export function parseSpec(text, source = SPEC_FILE) {
  let spec;
  try {
    spec = JSON.parse(text);
  } catch (error) {
    throw new InputError(`${source} is not json: ${error.message}`);
  }
  if (spec?.spec_version !== SPEC_VERSION) {
    throw new InputError(
      `${source}: this page reads spec_version ${SPEC_VERSION}; update it or convert the model anew. ` +
        `Received: ${JSON.stringify(spec?.spec_version)}`,
    );
  }
  for (const [path, [isRight, expected]] of Object.entries(FIELDS)) {
    const value = path.split(".").reduce((inner, key) => inner?.[key], spec);
    if (!isRight(value, spec)) {
      throw new InputError(`${source}: the field ${path} must be ${expected}. Received: ${JSON.stringify(value)}`);
    }
  }
  for (const side of ["height", "width"]) {
    const expected = spec.output[side] * spec.decode.stride;
    if (spec.input[side] !== expected) {
      throw new InputError(`${source}: the field input.${side} must be ${expected}. Received: ${spec.input[side]}`);
    }
  }
  return spec;
}

/**
 * The spec inside a `.tflite`.
 *
 * @param {Uint8Array} model
 * @param {string} source what messages call it
 * @throws {InputError} no model, or none that carries its spec
 */
export function specFromTflite(model, source) {
  if (text(model.subarray(4, 8)) !== "TFL3") {
    throw new InputError(`${source} is not a TFLite model. Received: ${model.length} bytes of something else`);
  }
  const file = unzipStored(model, SPEC_FILE);
  if (!file) {
    throw new InputError(
      `${source} carries no ${SPEC_FILE}, so its crop, joints and decoding are unknown: use a model made by ` +
        "`flpn convert`",
    );
  }
  return parseSpec(text(file), `${source}/${SPEC_FILE}`);
}

const text = (bytes) => new TextDecoder().decode(bytes);

/** The bytes of a stored (not compressed) file of the ZIP archive that ends `bytes`; null where it has none. */
function unzipStored(bytes, name) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - 22; // the end record; our archives have no comment after it
  if (end < 0 || view.getUint32(end, true) !== 0x06054b50) return null;
  let entry = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (entry + 46 > end || view.getUint32(entry, true) !== 0x02014b50) return null;
    const [nameSize, extraSize, commentSize] = [28, 30, 32].map((at) => view.getUint16(entry + at, true));
    if (text(bytes.subarray(entry + 46, entry + 46 + nameSize)) === name) {
      const size = view.getUint32(entry + 24, true);
      const local = view.getUint32(entry + 42, true);
      if (view.getUint16(entry + 10, true) !== 0 || local + 30 > end) return null;
      const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      return start + size <= end ? bytes.subarray(start, start + size) : null;
    }
    entry += 46 + nameSize + extraSize + commentSize;
  }
  return null;
}
