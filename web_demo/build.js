/**
 * Puts everything the page needs into one folder: `node build.js [MODEL.tflite …] [--out FOLDER]`.
 *
 * Without models it takes the float16 and int8_float_io files of android_demo_assets. Nothing here is bundled or
 * compiled; LiteRT.js is copied from node_modules (`npm ci`).
 */
import {
  chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { specFromTflite } from "./src/spec.js";

const HERE = dirname(fileURLToPath(import.meta.url));
const ASSETS = join(HERE, "../android_demo_assets");
const SHIPPED = ["float16", "int8_float_io"];
const FORMATS = { float32: "float32", float16: "float16", dynamic: "dynamic", int8: "int8", int8_float_io: "int8" };
const PACKAGES = join(HERE, "node_modules/@litertjs");

function shippedModels() {
  return SHIPPED.flatMap((format) =>
    readdirSync(ASSETS)
      .filter((name) => name.endsWith(`_${format}.tflite`))
      .map((name) => join(ASSETS, name)),
  );
}

function copyRuntime(folder) {
  cpSync(join(PACKAGES, "core/wasm"), folder, { recursive: true });
  cpSync(join(PACKAGES, "wasm-utils/dist/index.js"), join(folder, "wasm-utils.js"));
  const module = readFileSync(join(PACKAGES, "core/dist/index.js"), "utf8");
  // Workers have no import maps, so the one bare import becomes a path. Source maps stay behind.
  const parts = module.split('from "@litertjs/wasm-utils"');
  if (parts.length !== 2) throw new Error("LiteRT.js does not import @litertjs/wasm-utils once: see build.js");
  const linked = parts.join('from "./wasm-utils.js"').replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
  writeFileSync(join(folder, "litert.js"), linked);
}

/** File name → content; refuses what the page would. */
function readModels(paths) {
  const models = new Map();
  for (const path of paths) {
    const content = readFileSync(path);
    const { name } = specFromTflite(new Uint8Array(content), path);
    if (models.has(basename(path))) throw new Error(`two models are called ${basename(path)}: rename one`);
    models.set(basename(path), { content, name });
  }
  return models;
}

function writeModels(models, folder) {
  mkdirSync(folder, { recursive: true });
  const list = [...models].map(([file, { content, name }]) => {
    writeFileSync(join(folder, file), content);
    const format = Object.keys(FORMATS).find((each) => name.endsWith(`_${each}`));
    const megabytes = (content.length / 1e6).toFixed(1);
    return { file, name, label: `${FORMATS[format] ?? name} · ${megabytes} MB` };
  });
  // A format says which model it is while there is one of it.
  const isAlone = ({ label }) => list.filter((other) => other.label === label).length === 1;
  const named = list.map((model) => (isAlone(model) ? model : { ...model, label: model.file }));
  writeFileSync(join(folder, "models.json"), `${JSON.stringify(named, null, 1)}\n`);
}

const { values, positionals } = parseArgs({ options: { out: { type: "string" } }, allowPositionals: true });
const out = resolve(values.out ?? join(HERE, "dist"));
let partial; // what is there stays until the new page is whole
try {
  if (existsSync(out) && readdirSync(out).length > 0 && !existsSync(join(out, "network_worker.js"))) {
    throw new Error(`${out} is not a folder that build.js made: remove it, or name another`);
  }
  const models = readModels(positionals.length ? positionals.map((path) => resolve(path)) : shippedModels());
  if (!existsSync(PACKAGES)) throw new Error("LiteRT.js is not installed: run `npm ci` in web_demo");
  mkdirSync(dirname(out), { recursive: true });
  partial = mkdtempSync(`${out}.partial-`);
  chmodSync(partial, 0o777 & ~process.umask()); // of mkdtemp it is private
  cpSync(join(HERE, "src"), partial, { recursive: true });
  copyRuntime(join(partial, "litert"));
  writeModels(models, join(partial, "models"));
  rmSync(out, { recursive: true, force: true });
  renameSync(partial, out);
  console.log(`${out}: ${[...models.keys()].join(", ") || "no model"}`);
} catch (error) {
  if (partial) rmSync(partial, { recursive: true, force: true });
  console.error(`build: error: ${error.message}`);
  process.exit(2);
}
