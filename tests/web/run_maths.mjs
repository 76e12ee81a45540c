/** Calls the page's modules: cases (json, [[module, function, ...arguments]]) on stdin, results (json) on stdout. */
import { readFileSync } from "node:fs";

import { follow } from "./follow_dots.mjs";

const SOURCE = new URL("../../web_demo/src/", import.meta.url);
const MODULES = ["crop", "decode", "draw", "estimator", "poses", "smoothing", "spec", "stage", "tracking"];
const modules = Object.fromEntries(
  await Promise.all(MODULES.map(async (name) => [name, await import(new URL(`${name}.js`, SOURCE))])),
);
// What takes or gives more than json has.
const adapted = {
  warp: (warp, image, ...rest) => Array.from(warp(image, ...rest)),
  decode: (decode, maps, codec) => decode(Float32Array.from(maps, Number), codec),
  PoseSmoother: (PoseSmoother, options, frames) => {
    const smoother = new PoseSmoother(options);
    return frames.map(({ keypoints, time, box }) => smoother.smooth(keypoints, time, box));
  },
  PoseEstimator: follow,
  specFromTflite: (read, base64, source) => read(new Uint8Array(Buffer.from(base64, "base64")), source),
};

const results = [];
for (const [module, name, ...given] of JSON.parse(readFileSync(0, "utf8"))) {
  const value = modules[module][name];
  try {
    if (typeof value !== "function") results.push({ value });
    else results.push({ value: await (adapted[name] ? adapted[name](value, ...given) : value(...given)) });
  } catch (error) {
    results.push({ error: `${error.name}: ${error.message}` });
  }
}
process.stdout.write(JSON.stringify(results));
