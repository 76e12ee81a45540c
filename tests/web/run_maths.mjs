/** Calls the page's modules: cases (json, [[module, function, ...arguments]]) on stdin, results (json) on stdout. */
import { readFileSync } from "node:fs";

const SOURCE = new URL("../../web_demo/src/", import.meta.url);
const MODULES = ["crop", "decode", "draw", "poses", "smoothing", "spec"];
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
  specFromTflite: (read, base64, source) => read(new Uint8Array(Buffer.from(base64, "base64")), source),
};

const results = JSON.parse(readFileSync(0, "utf8")).map(([module, name, ...given]) => {
  const value = modules[module][name];
  if (typeof value !== "function") return { value };
  try {
    return { value: adapted[name] ? adapted[name](value, ...given) : value(...given) };
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  }
});
process.stdout.write(JSON.stringify(results));
