/**
 * Puts everything the page needs into one folder: `node build.js [MODEL.tflite …] [--out FOLDER]`.
 *
 * Without models it takes the float16 and int8_float_io files of android_demo_assets. Nothing here is bundled or
 * compiled; LiteRT.js is copied from node_modules (`npm ci`).
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
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
  if (!existsSync(PACKAGES)) throw new Error("LiteRT.js is not installed: run `npm ci` in web_demo");
  cpSync(join(PACKAGES, "core/wasm"), folder, { recursive: true });
  cpSync(join(PACKAGES, "wasm-utils/dist/index.js"), join(folder, "wasm-utils.js"));
  const module = readFileSync(join(PACKAGES, "core/dist/index.js"), "utf8");
  // Workers have no import maps, so the one bare import becomes a path. Source maps stay behind.
  const parts = module.split('from "@litertjs/wasm-utils"');
  if (parts.length !== 2) throw new Error("LiteRT.js does not import @litertjs/wasm-utils once: see build.js");
  const linked = parts.join('from "./wasm-utils.js"').replace(/\n\/\/# sourceMappingURL=.*\s*$/, "\n");
  writeFileSync(join(folder, "litert.js"), linked);
}

function copyModels(paths, folder) {
  mkdirSync(folder, { recursive: true });
  const list = paths.map((path) => {
    const file = basename(path);
    const { name } = specFromTflite(new Uint8Array(readFileSync(path)), path); // refuses what the page would
    cpSync(path, join(folder, file));
    const format = Object.keys(FORMATS).find((each) => name.endsWith(`_${each}`));
    const megabytes = (statSync(path).size / 1e6).toFixed(1);
    return { file, name, label: `${FORMATS[format] ?? name} · ${megabytes} MB` };
  });
  // A format says which model it is while there is one of it.
  const isAlone = ({ label }) => list.filter((other) => other.label === label).length === 1;
  const named = list.map((model) => (isAlone(model) ? model : { ...model, label: model.file }));
  writeFileSync(join(folder, "models.json"), `${JSON.stringify(named, null, 1)}\n`);
  return list;
}

const { values, positionals } = parseArgs({ options: { out: { type: "string" } }, allowPositionals: true });
const out = resolve(values.out ?? join(HERE, "dist"));
try {
  if (existsSync(out) && readdirSync(out).length > 0 && !existsSync(join(out, "network_worker.js"))) {
    throw new Error(`${out} is not a folder that build.js made: remove it, or name another`);
  }
  rmSync(out, { recursive: true, force: true });
  cpSync(join(HERE, "src"), out, { recursive: true });
  copyRuntime(join(out, "litert"));
  const models = copyModels(positionals.length ? positionals.map((path) => resolve(path)) : shippedModels(), join(out, "models"));
  console.log(`${out}: ${models.map(({ file }) => file).join(", ") || "no model"}`);
} catch (error) {
  console.error(`build: error: ${error.message}`);
  process.exit(2);
}
