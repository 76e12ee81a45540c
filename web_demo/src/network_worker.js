/**
 * The network, in a thread of its own. A classic worker: LiteRT.js loads its WebAssembly by importScripts.
 *
 *   in   {id, open: {model, accelerator, threads}}   out  {id, accelerator, threads}
 *   in   {id, run: typed array, shape}               out  {id, output, milliseconds}
 *   or   {id, error}
 */
const FOLDER = new URL("litert/", self.location.href).href;

let litert;
let model;
let queue = Promise.resolve(); // one request at a time

self.onmessage = ({ data }) => {
  queue = queue.then(() => answer(data));
};

async function answer({ id, open, run, shape }) {
  try {
    self.postMessage({ id, ...(open ? await openModel(open) : await runModel(run, shape)) });
  } catch (error) {
    self.postMessage({ id, error: error?.message ?? String(error) });
  }
}

async function openModel({ model: bytes, accelerator, threads }) {
  litert = await import(`${FOLDER}litert.js`);
  const threaded = await loadRuntime(accelerator, threads);
  if (accelerator === "webgpu" && !litert.getWebGpuDevice()) throw new Error("the browser offers no GPU");
  model = await litert.loadAndCompile(bytes, {
    accelerator,
    ...(threaded && { cpuOptions: { numThreads: threads } }),
  });
  return { accelerator: model.options.accelerator, threads: threaded ? threads : 1 };
}

/** Loads the build that fits; returns whether it has threads. */
async function loadRuntime(accelerator, threads) {
  // GPU and processor share a network only where WebAssembly can wait for JavaScript (JSPI).
  const jspi = accelerator === "webgpu" && "Suspending" in WebAssembly;
  if (accelerator === "wasm" && threads > 1 && self.crossOriginIsolated) {
    try {
      self.Module = emscriptenOptions("litert_wasm_threaded_internal.js");
      await litert.loadLiteRt(FOLDER, { threads: true });
      return true;
    } catch (error) {
      console.warn(`LiteRT.js without threads: ${error.message}`);
    }
  }
  self.Module = emscriptenOptions();
  await litert.loadLiteRt(FOLDER, { jspi });
  return false;
}

function emscriptenOptions(mainScript) {
  return {
    locateFile: (name) => FOLDER + name,
    mainScriptUrlOrBlob: mainScript && FOLDER + mainScript,
    // Its log goes to standard error, notices included.
    printErr: (line) => (/^(INFO|WARNING|VERBOSE)\b/.test(line) ? console.debug(line) : console.error(line)),
  };
}

async function runModel(values, shape) {
  const start = performance.now();
  const input = new litert.Tensor(values, shape);
  let outputs = [];
  try {
    outputs = await model.run([input]);
    const output = await outputs[0].data();
    return { output, milliseconds: performance.now() - start };
  } finally {
    input.delete();
    for (const tensor of outputs) tensor.delete();
  }
}
