/**
 * Uses the page in a real Chromium as a visitor does, and says what was seen: job (json) on stdin, facts (json) on
 * stdout. What is right is decided in test_browser.py.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const job = JSON.parse(readFileSync(0, "utf8"));
const { chromium } = createRequire(join(job.demo, "package.json"))("playwright-core");

const QUIET = ["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
const CAMERA = [
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream",
  `--use-file-for-fake-video-capture=${job.video}`,
];
const DESKTOP = { viewport: { width: 1280, height: 900 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const TABLET = { viewport: { width: 768, height: 1024 }, isMobile: true, hasTouch: true };
const READY = /is ready/;

/** A page that has opened, with `log`: its console, its errors and the addresses it asked for. */
async function openPage(browser, options, prepare = async () => {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const log = { console: [], errors: [], requests: [] };
  context.on("request", (request) => log.requests.push(request.url()));
  page.on("console", (message) => log.console.push([message.type(), message.text()]));
  page.on("pageerror", (error) => log.errors.push(String(error)));
  await page.addInitScript(() => {
    globalThis.poses = [];
    document.addEventListener("pose", ({ detail }) => globalThis.poses.push(detail));
  });
  await prepare(page);
  await page.goto(job.url);
  return { page, log, close: () => context.close() };
}

const status = (page) => page.locator("#status").innerText();
const isError = (page) => page.locator("#status.error").count().then(Boolean);

async function untilStatus(page, pattern) {
  const matches = ([source, flags]) => new RegExp(source, flags).test(document.getElementById("status").textContent);
  await page.waitForFunction(matches, [pattern.source, pattern.flags], { timeout: 60000 });
  return status(page);
}

/** The pose that the action brings. */
async function poseAfter(page, action) {
  await page.evaluate(() => (globalThis.poses.length = 0));
  await action();
  await page.waitForFunction(() => globalThis.poses.length > 0, null, { timeout: 60000 });
  return page.evaluate(() => globalThis.poses.at(-1));
}

/** The poses that the action brings within a moment; for what should bring none. */
async function posesDuring(page, action) {
  await page.evaluate(() => (globalThis.poses.length = 0));
  await action();
  await page.waitForTimeout(300);
  return page.evaluate(() => globalThis.poses.length);
}

/** Drags the mouse between two places of the picture, in its sides; `halfway` is looked at before the release. */
async function drag(page, from, to, halfway = async () => {}) {
  await page.locator("#view").scrollIntoViewIfNeeded();
  const view = await page.locator("#view").boundingBox();
  const place = ([x, y]) => [view.x + x * view.width, view.y + y * view.height];
  await page.mouse.move(...place(from));
  await page.mouse.down();
  await page.mouse.move(...place(to), { steps: 3 });
  await halfway();
  await page.mouse.up();
}

/** Moves a finger between two places of the picture, in its sides. */
async function swipe(page, from, to) {
  const touch = await page.context().newCDPSession(page);
  const view = await page.locator("#view").boundingBox();
  const at = (part) => ({
    x: view.x + (from[0] + part * (to[0] - from[0])) * view.width,
    y: view.y + (from[1] + part * (to[1] - from[1])) * view.height,
  });
  const send = (type, touchPoints) => touch.send("Input.dispatchTouchEvent", { type, touchPoints });
  await send("touchStart", [at(0)]);
  for (let step = 1; step <= 10; step++) await send("touchMove", [at(step / 10)]);
  await send("touchEnd", []);
}

const choose = (page, path) => page.locator("#file").setInputFiles(path);

async function drop(page, name, text) {
  await page.evaluate(([fileName, content]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([content], fileName));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }, [name, text]);
}

async function typeBox(page, box) {
  await page.locator("#box-details").evaluate((details) => (details.open = true));
  for (const [i, side] of [..."xywh"].entries()) await page.locator(`#box-form [name=${side}]`).fill(String(box[i]));
  await page.locator("#box-form [type=submit]").click();
}

async function photos(browser) {
  const { page, log, close } = await openPage(browser, DESKTOP);
  const facts = { empty: await status(page), ready: await untilStatus(page, READY), models: {} };
  facts.offersGpu = await page.locator("#accelerator").isVisible();
  facts.headline = await page.locator("#invitation").innerText();
  facts.menu = await page.locator("#model option").evaluateAll((options) =>
    options.map(({ textContent, title }) => [textContent, title]),
  );
  facts.isolated = await page.evaluate(() => crossOriginIsolated);
  await page.screenshot({ path: join(job.pictures, "desktop_empty.png") });
  for (const [i, option] of (await page.locator("#model option").all()).entries()) {
    const value = await option.getAttribute("value");
    // Another model looks at the photo that is open anew.
    if (i > 0) await poseAfter(page, () => page.locator("#model").selectOption(value));
    const poses = {};
    for (const [name, path] of Object.entries(job.photos)) poses[name] = await poseAfter(page, () => choose(page, path));
    await poseAfter(page, () => choose(page, job.photos[job.boxed]));
    poses.boxed = await poseAfter(page, () => typeBox(page, job.box));
    facts.models[await page.locator("#model").inputValue()] = poses;
  }
  facts.poseStatus = await status(page);
  facts.pictureLabel = await page.locator("#view").getAttribute("aria-label");
  await page.locator("#joints-details summary").click();
  await page.waitForSelector("#joints tr");
  facts.jointRows = await page.locator("#joints tr").allInnerTexts();
  await page.screenshot({ path: join(job.pictures, "desktop_photo.png"), fullPage: true });

  facts.drawn = await poseAfter(page, () => drag(page, [0.1, 0.1], [0.6, 0.5]));
  facts.posesOfSlip = await posesDuring(page, () => drag(page, [0.1, 0.1], [0.12, 0.9]));
  facts.slip = await status(page);
  facts.whole = await poseAfter(page, () => page.locator("#whole").click());

  facts.messages = {};
  const said = async (name, pattern, action) => {
    await action();
    await page.waitForSelector("#status.error");
    facts.messages[name] = await untilStatus(page, pattern);
    await poseAfter(page, () => choose(page, job.photos[job.boxed]));
    if (await isError(page)) facts.messages[name] += " (and no way back)";
  };
  await said("text", /notes\.txt/, () => drop(page, "notes.txt", "not an image"));
  await said("empty", /empty\.png/, () => drop(page, "empty.png", ""));
  await said("tiny", /tiny\.png/, () => choose(page, job.tiny));
  await said("model", /bad\.tflite/, () => drop(page, "bad.tflite", "not a model at all"));
  await said("version", /spec_version/, () => choose(page, job.newer_model));
  await said("outside", /must touch/, () => typeBox(page, [9000, 0, 10, 10]));
  await said("flat", /above 0/, () => typeBox(page, [0, 0, 10, 0]));
  await said("emptied", /empty:/, () => typeBox(page, ["", 0, 10, 10]));
  await typeBox(page, [0, 0, "", 10]);
  facts.focused = await page.evaluate(() => document.activeElement.name);
  facts.errorBeforeDrag = await isError(page);
  await poseAfter(page, () => drag(page, [0.1, 0.1], [0.6, 0.5], async () => (facts.errorInDrag = await isError(page))));
  await poseAfter(page, () => page.locator("#whole").click());
  facts.modelsLeft = await page.locator("#model option").count();
  facts.dropped = await poseAfter(page, () => choose(page, job.other_model));
  facts.droppedStatus = await status(page);

  await page.locator("h1").click();
  facts.tabs = [];
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press("Tab");
    facts.tabs.push(await page.evaluate(() => {
      const { id, name, parentElement } = document.activeElement;
      return id || name || parentElement.id;
    }));
  }
  await close();
  return { ...facts, log };
}

/** What choosing WebGPU brings in a browser that `prepare` gives an adapter. */
async function graphics(browser, prepare) {
  const { page, close } = await openPage(browser, DESKTOP, prepare);
  await untilStatus(page, READY);
  await page.waitForSelector("#accelerator", { state: "visible", timeout: 60000 });
  await poseAfter(page, () => choose(page, job.photos[job.boxed]));
  await page.locator("#accelerator").selectOption("webgpu");
  const said = await untilStatus(page, /joints found.* WebGPU/);
  await page.screenshot({ path: join(job.pictures, "desktop_graphics.png") });
  const accelerator = await page.locator("#accelerator").inputValue();
  await close();
  return { status: said, accelerator };
}

const adapter = (page) =>
  page.addInitScript(() => Object.defineProperty(navigator, "gpu", { value: { requestAdapter: async () => ({}) } }));

// What a GPU that computes something else looks like from outside: appended to the worker.
const WRONG_GPU = `
const [openRight, runRight] = [openModel, runModel];
let wrong = false;
openModel = async (options) => {
  wrong = options.accelerator === "webgpu";
  return { ...(await openRight({ ...options, accelerator: "wasm" })), accelerator: options.accelerator };
};
runModel = async (...given) => {
  const { output, milliseconds } = await runRight(...given);
  return { output: wrong ? output.map((value) => -value) : output, milliseconds };
};`;

async function wrongAdapter(page) {
  await adapter(page);
  await page.route("**/network_worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: (await response.text()) + WRONG_GPU });
  });
}

async function camera(browser) {
  const { page, log, close } = await openPage(browser, DESKTOP);
  await untilStatus(page, READY);
  await page.evaluate(() => (globalThis.poses.length = 0));
  await page.locator("#camera").click();
  await page.waitForFunction((count) => globalThis.poses.length >= count, job.frames, { timeout: 60000 });
  const facts = await page.evaluate(() => ({
    poses: globalThis.poses.slice(),
    fps: document.getElementById("fps").textContent,
    milliseconds: document.getElementById("milliseconds").textContent,
    status: document.getElementById("status").textContent,
    mirrored: document.getElementById("view").classList.contains("mirrored"),
    size: [document.getElementById("view").width, document.getElementById("view").height],
  }));
  await page.screenshot({ path: join(job.pictures, "desktop_camera.png") });
  // Another model in the middle of it.
  await page.locator("#model").selectOption({ index: 1 });
  await page.waitForFunction(() => !document.getElementById("model").disabled, null, { timeout: 60000 });
  await poseAfter(page, async () => {});
  facts.errorAfterSwitch = await isError(page);
  await page.locator("#camera").click();
  facts.stopped = await untilStatus(page, /off/);
  const last = await page.evaluate(() => globalThis.poses.length);
  await page.waitForTimeout(300);
  facts.posesAfterStop = (await page.evaluate(() => globalThis.poses.length)) - last;
  await close();
  return { ...facts, log };
}

async function phone(browser) {
  const { page, log, close } = await openPage(browser, PHONE);
  await untilStatus(page, READY);
  const facts = { overflow: [] };
  const measure = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  facts.overflow.push(await measure());
  facts.headline = await page.locator("#invitation").innerText();
  await page.screenshot({ path: join(job.pictures, "phone_empty.png") });
  await poseAfter(page, () => choose(page, job.photos[job.boxed]));
  facts.overflow.push(await measure());
  await page.screenshot({ path: join(job.pictures, "phone_photo.png") });

  const scrolled = () => page.evaluate(() => scrollY);
  await page.locator("#joints-details summary").tap(); // something to scroll to
  await page.evaluate(() => scrollTo(0, 0));
  facts.posesOfSwipe = await posesDuring(page, () => swipe(page, [0.5, 0.9], [0.6, 0.2]));
  facts.scrolledBySwipe = await scrolled();
  await page.evaluate(() => scrollTo(0, 0));
  await page.locator("#draw").tap();
  facts.drawing = await page.locator("#draw").getAttribute("aria-pressed");
  await page.evaluate(() => scrollTo(0, 0));
  facts.posesOfSlip = await posesDuring(page, () => swipe(page, [0.5, 0.9], [0.52, 0.2]));
  facts.slip = await status(page);
  await page.screenshot({ path: join(job.pictures, "phone_drawing.png") });
  facts.drawn = await poseAfter(page, () => swipe(page, [0.1, 0.1], [0.6, 0.5]));
  facts.scrolledByDrawing = await scrolled();
  facts.drawingAfterwards = await page.locator("#draw").getAttribute("aria-pressed");
  await page.locator("#joints-details summary").tap();
  for (const id of ["box-details", "joints-details"]) await page.locator(`#${id} summary`).tap();
  facts.overflow.push(await measure());
  facts.smallTargets = await page.evaluate(() =>
    [...document.querySelectorAll("button, select, input:not([hidden])")]
      .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height < 40)
      .map((element) => element.id || element.name),
  );
  await page.screenshot({ path: join(job.pictures, "phone_open.png"), fullPage: true });
  await page.locator("#camera").tap();
  await poseAfter(page, async () => {});
  facts.overflow.push(await measure());
  await page.screenshot({ path: join(job.pictures, "phone_camera.png") });
  await close();
  return { ...facts, log };
}

async function tablet(browser) {
  const { page, close } = await openPage(browser, TABLET, adapter);
  await untilStatus(page, READY);
  await poseAfter(page, () => choose(page, job.photos[job.boxed]));
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  await page.waitForSelector("#accelerator", { state: "visible" });
  const tops = await page.locator(".controls select").evaluateAll((menus) =>
    menus.map((menu) => menu.getBoundingClientRect().top),
  );
  await page.screenshot({ path: join(job.pictures, "tablet_photo.png"), fullPage: true });
  await close();
  return { overflow, tops };
}

/** What the page says where something is missing. */
async function missing(browser, prepare) {
  const { page, close } = await openPage(browser, DESKTOP, prepare);
  await page.waitForSelector("#status.error", { timeout: 60000 });
  const said = await status(page);
  await close();
  return said;
}

async function refusedCamera(args) {
  const browser = await chromium.launch({ executablePath: job.chromium, args: [...QUIET, ...args] });
  const { page, close } = await openPage(browser, DESKTOP);
  await untilStatus(page, READY);
  await page.locator("#camera").click();
  await page.waitForSelector("#status.error", { timeout: 60000 });
  const facts = { status: await status(page), button: await page.locator("#camera").innerText() };
  await page.screenshot({ path: join(job.pictures, "desktop_no_camera.png") });
  await close();
  await browser.close();
  return facts;
}

const browser = await chromium.launch({ executablePath: job.chromium, args: [...QUIET, ...CAMERA] });
const facts = {
  photos: await photos(browser),
  camera: await camera(browser),
  phone: await phone(browser),
  tablet: await tablet(browser),
  absentGpu: await graphics(browser, adapter), // one for the page, none for the worker
  wrongGpu: await graphics(browser, wrongAdapter),
  noWebAssembly: await missing(browser, (page) => page.addInitScript(() => delete globalThis.WebAssembly)),
  noList: await missing(browser, (page) => page.route("**/models.json", (route) => route.fulfill({ status: 404 }))),
  noModels: await missing(browser, (page) => page.route("**/models.json", (route) => route.fulfill({ json: [] }))),
  noModelFile: await missing(browser, (page) => page.route("**/*.tflite", (route) => route.fulfill({ status: 404 }))),
  noWorker: await missing(browser, (page) => page.route("**/network_worker.js", (route) => route.abort())),
};
await browser.close();
facts.refused = await refusedCamera(["--use-fake-device-for-media-stream"]);
facts.absent = await refusedCamera(["--use-fake-ui-for-media-stream"]);
console.log(JSON.stringify(facts));
