import { InputError } from "./errors.js";

const FOLDER = new URL("models/", import.meta.url);

/**
 * The models beside the page, as `build.js` lists them.
 *
 * @returns {Promise<{file: string, name: string, label: string}[]>}
 * @throws {InputError} there is none
 */
export async function listModels() {
  const response = await get("models.json");
  const models = await response.json();
  if (models.length === 0) {
    throw new InputError("There is no model in this folder: build it with `make web`, or drop a .tflite here");
  }
  return models;
}

/** The bytes of one of them. */
export async function fetchModel(file) {
  return new Uint8Array(await (await get(file)).arrayBuffer());
}

async function get(file) {
  let response;
  try {
    response = await fetch(new URL(file, FOLDER));
  } catch {
    throw new InputError(`${file} could not be fetched: is the server still running?`);
  }
  if (!response.ok) {
    throw new InputError(`There is no ${file} in this page's folder (${response.status}): build it with \`make web\``);
  }
  return response;
}
