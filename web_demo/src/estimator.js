import { cropAffine, invertAffine, touches, transformKeypoints, warp } from "./crop.js";
import { decode } from "./decode.js";
import { InputError } from "./errors.js";
import { Network } from "./network.js";
import { belief, boxAround, poseScore } from "./poses.js";
import { specFromTflite } from "./spec.js";

// Belief in a pose to begin to follow it, and to go on, as in flpn_tf/runtime/tracking.py.
const BELIEF_IN_NEW = 0.25;
const BELIEF_IN_KNOWN = 0.2;
const MAX_GPU_DIFFERENCE = 0.05; // of the heatmaps' peak; half precision stays far below

/**
 * Estimates one person's pose: picture in, keypoints in its pixels out.
 *
 *   const estimator = await PoseEstimator.open(bytesOfTflite);
 *   const { keypoints } = await estimator.estimate(imageData, [40, 20, 110, 260]);
 *
 * A pose is {box, keypoints: {x, y, score}[], score, milliseconds}: the box the crop was cut around, keypoints
 * in the skeleton's order, image pixels, the network's time.
 */
export class PoseEstimator {
  constructor(network, spec) {
    this.network = network;
    this.spec = spec;
  }

  /**
   * With the accelerator "webgpu" the network runs on "wasm" nevertheless where the GPU fails or computes something
   * else; `estimator.network.accelerator` says which it is.
   *
   * @param {Uint8Array} model a `.tflite` of `flpn convert`
   * @param {object} options of `Network.open`, and `source`: what messages call the model
   * @throws {InputError} no such model, or one that cannot run here
   */
  static async open(model, { source = "the model", accelerator = "wasm", ...options } = {}) {
    const spec = specFromTflite(model, source);
    const network = await Network.open(model, options);
    const faster = accelerator === "webgpu" ? await openOnGpu(model, network, spec) : null;
    if (faster) network.close();
    return new PoseEstimator(faster ?? network, spec);
  }

  /**
   * The pose in a box; without one, the pose in the whole frame, then in the box around what was found.
   *
   * @param {ImageData} image
   * @param {number[]|null} box [x, y, w, h]
   */
  async estimate(image, box = null) {
    if (box) return this.#estimateIn(image, box);
    const first = await this.#estimateIn(image, [0, 0, image.width, image.height]);
    const closer = boxInside(first, image);
    return closer ? this.#estimateIn(image, closer) : first;
  }

  /**
   * The next frame's pose, with `found`: whether to believe in it. It is looked for in the box around the previous
   * pose; anew where there is none or it was lost.
   */
  async follow(image, previous = null) {
    const box = previous?.found ? boxInside(previous, image) : null;
    const pose = await this.estimate(image, box);
    return { ...pose, found: belief(pose.keypoints) >= (box ? BELIEF_IN_KNOWN : BELIEF_IN_NEW) };
  }

  close() {
    this.network.close();
  }

  async #estimateIn(image, box) {
    const { input, crop, output, decode: rule, skeleton } = this.spec;
    const affine = cropAffine(box, input.height, input.width, crop.padding);
    const pixels = warp(image, affine, input.height, input.width, inputArray(this.spec));
    const answer = await this.network.run(pixels, inputShape(this.spec));
    const joints = skeleton.names.length;
    if (answer.output.length !== output.height * output.width * joints) {
      throw new InputError(
        `The model's heatmaps are not those of its spec, ${output.height}×${output.width}×${joints}. ` +
          `Received: ${answer.output.length} values`,
      );
    }
    const heatmaps = Float32Array.from(answer.output, (value) => output.scale * (value - output.zero_point));
    const found = decode(heatmaps, { ...rule, height: output.height, width: output.width, joints });
    const keypoints = transformKeypoints(found, invertAffine(affine));
    return { box, keypoints, score: poseScore(keypoints), milliseconds: answer.milliseconds };
  }
}

const inputShape = ({ input }) => [1, input.height, input.width, 3];
const inputArray = ({ input }) => (input.dtype === "uint8" ? Uint8Array : Float32Array);

/**
 * The model on the GPU; null where it does not run there, or gives other heatmaps than `reference` on pixels of
 * noise. Drivers and delegates do fail without a word.
 */
async function openOnGpu(model, reference, spec) {
  let network;
  try {
    network = await Network.open(model, { accelerator: "webgpu" });
    const pixels = inputArray(spec).from({ length: 3 * spec.input.height * spec.input.width }, (_, i) => (i * 7919) % 256);
    const expected = (await reference.run(pixels.slice(), inputShape(spec))).output;
    const actual = (await network.run(pixels, inputShape(spec))).output;
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const difference = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i])), 0);
    if (difference <= MAX_GPU_DIFFERENCE * largest) return network;
    console.warn(`The GPU's heatmaps differ by ${difference} where ${largest} is the largest`);
  } catch (error) {
    console.warn(error.message);
  }
  network?.close();
  return null;
}

/** The box around a pose; null where it has none in the picture. */
function boxInside({ keypoints }, image) {
  const box = boxAround(keypoints);
  return box && touches(box, image) ? box : null;
}
