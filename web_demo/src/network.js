import { InputError } from "./errors.js";

export const MAX_THREADS = 4;
const OPEN_SECONDS = 60; // a GPU's driver may never answer

/**
 * A `.tflite` in LiteRT.js, in a worker.
 *
 *   const network = await Network.open(bytes);
 *   const { output, milliseconds } = await network.run(crop, [1, 192, 160, 3]);
 *   network.close();
 */
export class Network {
  #worker = new Worker(new URL("network_worker.js", import.meta.url));
  #pending = new Map();
  #lastId = 0;

  constructor() {
    this.#worker.onmessage = ({ data: { id, error, ...answer } }) => {
      const asked = this.#pending.get(id);
      this.#pending.delete(id);
      if (error === undefined) asked?.resolve(answer);
      else asked?.reject(new Error(error));
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(event.message ?? "the network's worker cannot be loaded");
    };
  }

  /**
   * @param {Uint8Array} model
   * @param {{accelerator?: "wasm"|"webgpu", threads?: number}} options threads of "wasm", where the page is
   *   cross-origin isolated
   * @throws {InputError} the model cannot be opened, with the runtime's reason
   */
  static async open(model, { accelerator = "wasm", threads = defaultThreads() } = {}) {
    if (typeof WebAssembly === "undefined") {
      throw new InputError("This browser has no WebAssembly, which the network needs: update it or allow it");
    }
    const network = new Network();
    const timer = setTimeout(() => network.#fail(`no answer within ${OPEN_SECONDS} s`), 1000 * OPEN_SECONDS);
    try {
      Object.assign(network, await network.#ask({ open: { model, accelerator, threads } }));
    } catch (error) {
      network.close();
      throw new InputError(`The model cannot be opened: ${error.message}`);
    } finally {
      clearTimeout(timer);
    }
    return network;
  }

  /**
   * @param {Uint8Array|Float32Array} values
   * @param {number[]} shape
   * @returns {Promise<{output: Float32Array|Uint8Array, milliseconds: number}>} of the first output
   */
  run(values, shape) {
    return this.#ask({ run: values, shape }, [values.buffer]);
  }

  close() {
    this.#worker.terminate();
    this.#fail("the network was closed");
  }

  #ask(request, transfer = []) {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...request }, transfer);
    });
  }

  #fail(message) {
    for (const { reject } of this.#pending.values()) reject(new Error(message));
    this.#pending.clear();
  }
}

/** Whether the browser has WebGPU and a GPU for it. */
export async function hasGpu() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

function defaultThreads() {
  return Math.min(MAX_THREADS, navigator.hardwareConcurrency || 1);
}
