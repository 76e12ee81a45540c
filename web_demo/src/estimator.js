import { cropAffine, invertAffine, touches, transformKeypoints, warp } from "./crop.js";
import { decode } from "./decode.js";
import { InputError } from "./errors.js";
import { Network } from "./network.js";
import { belief, boxAround, poseScore } from "./poses.js";
import { specFromTflite } from "./spec.js";
import { BELIEF_IN_KNOWN, BELIEF_IN_NEW, SEARCH_INTERVAL, largerBox, nextBox } from "./tracking.js";

const MAX_GPU_DIFFERENCE = 0.05; // of the heatmaps' peak; half precision stays far below
const GPU_SECONDS = 30; // for its first answer

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
  /** Why the GPU that was asked for is not used: "absent" (it does not run the model), "wrong", or null. */
  gpuProblem = null;

  constructor(network, spec) {
    this.network = network;
    this.spec = spec;
  }

  /**
   * With the accelerator "webgpu" the network runs on "wasm" nevertheless where the GPU fails or computes something
   * else; `estimator.network.accelerator` says which it is, `estimator.gpuProblem` why.
   *
   * @param {Uint8Array} model a `.tflite` of `flpn convert`
   * @param {object} options of `Network.open`, and `source`: what messages call the model
   * @throws {InputError} no such model, or one that cannot run here
   */
  static async open(model, { source = "the model", accelerator = "wasm", ...options } = {}) {
    const spec = specFromTflite(model, source);
    const network = await Network.open(model, options);
    if (accelerator !== "webgpu") return new PoseEstimator(network, spec);
    const { faster, problem } = await openOnGpu(model, network, spec);
    if (faster) network.close();
    return Object.assign(new PoseEstimator(faster ?? network, spec), { gpuProblem: problem ?? null });
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
   * The next frame's pose, with `found`: whether to believe in it, and `next`: where to look in the next frame. It is
   * looked for in the previous pose's `next`, and every `SEARCH_INTERVAL` also in a larger box, lest the box stay on
   * a part of the person; anew in the whole frame where there is no previous pose or it was lost.
   *
   * @param {ImageData} image
   * @param previous what this gave for the frame before
   * @param {number} time of the frame, seconds
   */
  async follow(image, previous = null, time = performance.now() / 1000) {
    if (!previous?.found || !touches(previous.next, image)) {
      const pose = await this.estimate(image);
      const found = belief(pose.keypoints) >= BELIEF_IN_NEW;
      return { ...pose, found, next: nextBox(pose.keypoints, null, pose.box), searched: time };
    }
    let { next: box, searched } = previous;
    let pose = await this.#estimateIn(image, box);
    if (time - searched >= SEARCH_INTERVAL) {
      searched = time;
      const wider = await this.#estimateIn(image, largerBox(box));
      if (belief(wider.keypoints) > belief(pose.keypoints)) pose = wider;
    }
    const found = belief(pose.keypoints) >= BELIEF_IN_KNOWN;
    return { ...pose, found, next: nextBox(pose.keypoints, previous.keypoints, box), searched };
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
 * {faster: the model on the GPU}; {problem} where it does not run there ("absent"), or gives other heatmaps than
 * `reference` on pixels of noise ("wrong"). Drivers and delegates do fail without a word.
 */
async function openOnGpu(model, reference, spec) {
  let network;
  let timer;
  let problem = "absent";
  try {
    network = await Network.open(model, { accelerator: "webgpu" });
    timer = setTimeout(() => network.close(), 1000 * GPU_SECONDS);
    const pixels = inputArray(spec).from({ length: 3 * spec.input.height * spec.input.width }, (_, i) => (i * 7919) % 256);
    const expected = (await reference.run(pixels.slice(), inputShape(spec))).output;
    const actual = (await network.run(pixels, inputShape(spec))).output;
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const difference = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - actual[i])), 0);
    if (difference <= MAX_GPU_DIFFERENCE * largest) return { faster: network };
    problem = "wrong";
    console.warn(`The GPU's heatmaps differ by ${difference} where ${largest} is the largest`);
  } catch (error) {
    console.warn(error.message);
  } finally {
    clearTimeout(timer);
  }
  network?.close();
  return { problem };
}

/** The box around a pose; null where it has none in the picture. */
function boxInside({ keypoints }, image) {
  const box = boxAround(keypoints);
  return box && touches(box, image) ? box : null;
}
