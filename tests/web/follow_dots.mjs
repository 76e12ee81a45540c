const RADIUS = 7; // pixels
const LEVELS = 20; // of red from one joint's colour to the next one's

/**
 * `PoseEstimator.follow` through frames of a person made of dots, with a network that finds what is in its crop.
 *
 * @param {{size: number[], joints: number[][], hidden: number[], time: number}[]} frames hidden: joints not painted
 * @returns for each frame {found, seen: the joints found, runs: of the network}
 */
export async function follow(PoseEstimator, spec, frames) {
  let runs = 0;
  const run = async (crop) => ({ output: dotMaps(crop, spec, ++runs), milliseconds: 1 });
  const estimator = new PoseEstimator({ run }, spec);
  const answers = [];
  let pose = null;
  for (const { size, joints, hidden, time } of frames) {
    const before = runs;
    pose = await estimator.follow(paintDots(size, joints, hidden), pose, time);
    const seen = pose.keypoints.flatMap(({ x, y, score }, joint) => (score > 0.2 ? [[joint, x, y]] : []));
    answers.push({ found: pose.found, seen, runs: runs - before });
  }
  return answers;
}

function paintDots([width, height], joints, hidden) {
  const data = new Uint8ClampedArray(4 * width * height);
  joints.forEach(([jointX, jointY], joint) => {
    if (hidden.includes(joint)) return;
    for (let y = Math.max(jointY - RADIUS, 0); y <= Math.min(jointY + RADIUS, height - 1); y++) {
      for (let x = Math.max(jointX - RADIUS, 0); x <= Math.min(jointX + RADIUS, width - 1); x++) {
        data.set([LEVELS * (joint + 1), 255, 0, 255], 4 * (y * width + x));
      }
    }
  });
  return { width, height, data };
}

/** 0.9 at the cell where a dot's pixels have their mean, 0 elsewhere; dots blended with the ground do not count. */
function dotMaps(crop, { input, output, decode, skeleton }) {
  const joints = skeleton.names.length;
  const sums = Array.from({ length: joints }, () => [0, 0, 0]);
  for (let at = 0; at < input.height * input.width; at++) {
    if (crop[3 * at + 1] < 250) continue;
    const sum = sums[Math.round(crop[3 * at] / LEVELS) - 1];
    sum[0] += at % input.width;
    sum[1] += Math.floor(at / input.width);
    sum[2]++;
  }
  const maps = new Float32Array(output.height * output.width * joints);
  sums.forEach(([x, y, count], joint) => {
    if (count === 0) return;
    const [column, row] = [x, y].map((sum) => Math.floor(sum / count / decode.stride));
    maps[(row * output.width + column) * joints + joint] = 0.9;
  });
  return maps;
}
