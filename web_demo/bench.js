/**
 * Times the network in a real Chromium: `node bench.js URL`, where `flpn web` serves the page.
 *
 * Each model with one thread and with several, in turns; milliseconds of the network alone and of a whole frame (crop,
 * network, decode), as the page computes it on a 640×480 picture of noise.
 */
import { existsSync } from "node:fs";

import { chromium } from "playwright-core";

const RUNS = 100;
const TURNS = 3;
const [url = "http://127.0.0.1:8000/"] = process.argv.slice(2);
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage();
await page.route("**/bench", (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html>", headers: {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
} }));
await page.goto(new URL("bench", url).href);

const times = new Map();
for (let turn = 0; turn < TURNS; turn++) {
  const models = await page.evaluate(async () => (await import("./models.js")).listModels());
  for (const { file } of models) {
    for (const threads of [1, 2, 4]) {
      const key = `${file}, threads ${threads}`;
      times.set(key, [...(times.get(key) ?? []), await page.evaluate(time, { file, threads, runs: RUNS })]);
    }
  }
}
console.log(`Chromium ${browser.version()}, ${TURNS} turns of ${RUNS} frames, ms: median of each turn, fastest of all`);
for (const [key, turns] of times) {
  const shown = (name) =>
    `${name} ${turns.map((turn) => turn[name].median.toFixed(1)).join(" ")}, ` +
    `${Math.min(...turns.map((turn) => turn[name].fastest)).toFixed(1)}`;
  console.log(`${key.padEnd(64)} ${shown("network").padEnd(30)} ${shown("frame")}`);
}
await browser.close();

/** Runs in the page. */
async function time({ file, threads, runs }) {
  const [{ PoseEstimator }, { fetchModel }] = await Promise.all([import("./estimator.js"), import("./models.js")]);
  const estimator = await PoseEstimator.open(await fetchModel(file), { threads });
  const image = new ImageData(640, 480);
  image.data.forEach((_, i) => (image.data[i] = (i * 7919) % 256));
  const network = [];
  const frame = [];
  for (let run = -10; run < runs; run++) {
    const start = performance.now();
    const { milliseconds } = await estimator.estimate(image, [100, 50, 250, 400]);
    if (run >= 0) frame.push(performance.now() - start);
    if (run >= 0) network.push(milliseconds);
  }
  estimator.close();
  const summary = (values) => {
    values.sort((a, b) => a - b);
    return { median: values[values.length >> 1], fastest: values[0] };
  };
  return { network: summary(network), frame: summary(frame) };
}
