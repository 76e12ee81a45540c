/** The page: its elements, what the user does, what is said about it. */
import { readBox, writeBox } from "./box_form.js";
import { Camera } from "./camera.js";
import { checkBox } from "./crop.js";
import { COLOURS } from "./draw.js";
import { InputError } from "./errors.js";
import { PoseEstimator } from "./estimator.js";
import { fetchModel, listModels } from "./models.js";
import { hasGpu } from "./network.js";
import { pixelsOf, readPhoto } from "./photo.js";
import { foundKeypoints } from "./poses.js";
import { RateMeter } from "./rate.js";
import { PoseSmoother } from "./smoothing.js";
import { Stage } from "./stage.js";

const $ = (id) => document.getElementById(id);
const stage = new Stage({ view: $("view"), frame: $("stage"), invitation: $("invitation") });
const droppedModels = new Map(); // option of the menu → bytes

let estimator = null;
let opened = null; // the option of the menu that it is
let opening = Promise.resolve(); // models open one after the other
let notice = ""; // about the model, worth repeating
let poseWords = ""; // about the photo's pose
let photo = null; // {name, canvas, box}
let camera = null;

/** Says a message in the status; each ends with a full stop. */
function say(message, isError = false) {
  const sentence = /^$|[.…]$/.test(message) ? message : `${message}.`;
  if ($("status").textContent !== sentence) $("status").textContent = sentence;
  $("status").classList.toggle("error", isError);
}

function sayError(error) {
  say(error instanceof InputError ? error.message : `Something failed: ${error.message}`, true);
  if (!(error instanceof InputError)) console.error(error);
}

/** An event's handler whose errors are said. */
function guarded(handler) {
  return async (event) => {
    try {
      await handler(event);
    } catch (error) {
      sayError(error);
    }
  };
}

// Models

const GPU_PROBLEMS = {
  absent: (name) => `WebGPU does not run ${name} here, so the processor does.`,
  wrong: (name) => `WebGPU computes ${name} wrongly here, so the processor runs it.`,
};

async function openModel(option) {
  const name = option.title;
  const accelerator = $("accelerator").value;
  say(`Loading ${name}…`);
  const bytes = droppedModels.get(option) ?? (await fetchModel(option.value));
  const next = await PoseEstimator.open(bytes, { source: name, accelerator });
  const last = estimator;
  estimator = next;
  last?.close();
  const { accelerator: actual, threads } = estimator.network;
  $("accelerator").value = actual;
  const where = actual === "webgpu" ? "the graphics processor" : `${threads} thread${threads > 1 ? "s" : ""}`;
  notice = GPU_PROBLEMS[estimator.gpuProblem]?.(name) ?? "";
  say(`${name} is ready, on ${where}. ${notice}`.trim());
}

/** Opens what the two menus say; where that fails they say again what is open. */
function changeModel() {
  const option = $("model").selectedOptions[0];
  const task = opening.then(async () => {
    $("model").disabled = $("accelerator").disabled = true;
    try {
      await openModel(option);
      opened = option;
    } catch (error) {
      if (opened) {
        opened.selected = true;
        $("accelerator").value = estimator.network.accelerator;
      }
      throw error;
    } finally {
      $("model").title = $("model").selectedOptions[0].title;
      $("model").disabled = $("accelerator").disabled = false;
    }
  });
  opening = task.catch(() => {});
  return task;
}

/** Adds to the menu; the tooltip is the whole name. */
function addModel(file, name, label, selected = false) {
  const option = Object.assign(new Option(label, file, false, selected), { title: name });
  $("model").add(option);
  return option;
}

async function dropModel(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const option = addModel(file.name, file.name, file.name, true);
  droppedModels.set(option, bytes);
  try {
    await changeModel();
  } catch (error) {
    option.remove();
    droppedModels.delete(option);
    throw error;
  }
}

async function needEstimator() {
  await opening;
  if (!estimator) throw new InputError("No model could be opened, so there is nothing to find the pose with");
  return estimator;
}

// Photos

async function openFiles(files) {
  if (files.length === 0) return;
  const [file] = files;
  if (file.name.endsWith(".tflite")) {
    await dropModel(file);
    if (photo) await estimatePhoto();
    return;
  }
  const canvas = await readPhoto(file);
  stopCamera();
  setDrawing(false);
  photo = { name: file.name, canvas, box: null };
  await estimatePhoto();
}

async function estimatePhoto() {
  const asked = photo;
  poseWords = "";
  stage.show(asked.canvas, null, null, { drawable: true });
  $("view").setAttribute("aria-label", `Photo ${asked.name}, no pose yet`);
  say("Looking for the pose…");
  const used = await needEstimator();
  let pose;
  try {
    pose = await used.estimate(pixelsOf(asked.canvas), asked.box);
  } catch (error) {
    if (used === estimator) throw error;
  }
  if (photo !== asked || used !== estimator) return; // another photo, the camera or another model came meanwhile
  const { spec } = used;
  stage.show(asked.canvas, pose, spec.skeleton, { drawable: true });
  showPose(pose, spec);
  const found = foundKeypoints(pose.keypoints).length;
  const how = asked.box ? "in your box" : "with the whole photo as one person; draw a box around one for a better pose";
  poseWords = `${found} of ${pose.keypoints.length} joints found ${how}. ${notice}`.trim();
  say(poseWords);
  $("view").setAttribute("aria-label", `Photo ${asked.name} with ${found} joints of one person drawn on it`);
  $("stats").hidden = $("box-details").hidden = false;
  writeBox($("box-form"), pose.box);
}

function setBox(box) {
  if (!photo) return;
  photo = { ...photo, box: box && checkBox(box, photo.canvas) };
  return estimatePhoto();
}

/** Whether a finger draws on the photo, in place of scrolling. */
function setDrawing(on) {
  stage.drawing = on;
  $("draw").setAttribute("aria-pressed", String(on));
}

// The camera

async function startCamera() {
  say("Waiting for the camera…");
  $("camera").disabled = true;
  try {
    await needEstimator();
    camera = await Camera.open();
  } finally {
    $("camera").disabled = false;
  }
  photo = null;
  setDrawing(false);
  $("camera").textContent = "Stop the camera";
  $("camera").setAttribute("aria-pressed", "true");
  $("box-details").hidden = true;
  $("fps-stat").hidden = $("stats").hidden = false;
  const running = camera;
  try {
    await follow(running);
  } finally {
    if (camera === running) stopCamera();
    if (running.unplugged) say("The camera was unplugged or taken away.", true);
  }
}

async function follow(running) {
  let smoother = new PoseSmoother();
  const rate = new RateMeter();
  let previous = null;
  let used = null;
  while (await running.nextFrame()) {
    const time = performance.now() / 1000;
    if (used !== estimator) [used, previous, smoother] = [estimator, null, new PoseSmoother()];
    let pose;
    try {
      pose = await used.follow(pixelsOf(running.canvas), previous, time);
    } catch (error) {
      if (used === estimator) throw error;
      continue; // the model was changed under it
    }
    if (camera !== running) return;
    if (pose.found !== previous?.found) say(pose.found ? "Following one person." : "Looking for a person…");
    previous = pose;
    if (pose.found) pose = { ...pose, keypoints: smoother.smooth(pose.keypoints, time, pose.next) };
    else smoother = new PoseSmoother();
    const shown = pose.found ? { ...pose, box: pose.next } : null; // a search's box is no person's size
    stage.show(running.canvas, shown, used.spec.skeleton, { mirrored: running.facesUser });
    showPose(pose, used.spec);
    $("fps").textContent = rate.tick(time)?.toFixed(0) ?? "–";
    $("view").setAttribute(
      "aria-label",
      pose.found ? "The camera's picture with one person's joints drawn on it" : "The camera's picture",
    );
  }
}

function stopCamera() {
  if (!camera) return;
  camera.close();
  camera = null;
  stage.clear();
  $("camera").textContent = "Start the camera";
  $("camera").setAttribute("aria-pressed", "false");
  $("fps-stat").hidden = $("stats").hidden = $("legend").hidden = $("joints-details").hidden = true;
  say("The camera is off.");
}

// What was found

function showPose(pose, { skeleton }) {
  $("milliseconds").textContent = `${pose.milliseconds.toFixed(1)} ms`;
  $("legend").hidden = $("joints-details").hidden = false;
  $("legend-box").hidden = $("draw").hidden = !photo;
  if ($("joints-details").open) fillJoints(pose, skeleton);
  $("joints-details").ontoggle = () => fillJoints(pose, skeleton);
  // For whoever embeds the page, and its tests.
  document.dispatchEvent(new CustomEvent("pose", { detail: pose }));
}

function fillJoints({ keypoints }, { names }) {
  const found = new Set(foundKeypoints(keypoints));
  const rows = keypoints.map((point, joint) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = names[joint].replaceAll("_", " ");
    row.append(name);
    for (const [value, digits] of [[point.x, 1], [point.y, 1], [point.score, 2]]) {
      row.insertCell().textContent = value.toFixed(digits);
    }
    row.classList.toggle("lost", !found.has(point));
    return row;
  });
  $("joints").replaceChildren(...rows);
}

// What the user does

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", guarded(async () => {
  const files = [...$("file").files];
  $("file").value = ""; // so that the same file can be chosen again
  await openFiles(files);
}));
$("camera").addEventListener("click", guarded(() => (camera ? stopCamera() : startCamera())));
for (const id of ["model", "accelerator"]) {
  $(id).addEventListener("change", guarded(async () => {
    await changeModel();
    if (photo) await estimatePhoto();
  }));
}
stage.onBox = guarded((box) => {
  setDrawing(false); // a finger scrolls again
  return setBox(box);
});
stage.onStart = () => poseWords && $("status").classList.contains("error") && say(poseWords);
stage.onSlip = () => say("That box is too small or too thin for a person: drag from corner to corner of one, or type it");
$("draw").addEventListener("click", () => {
  setDrawing(!stage.drawing);
  say(stage.drawing ? "Drag over the photo, from corner to corner of one person" : poseWords);
});
$("whole").addEventListener("click", guarded(() => setBox(null)));
$("box-form").addEventListener("submit", guarded((event) => {
  event.preventDefault();
  return setBox(readBox($("box-form")));
}));

let dragged = 0; // elements the dragged file is over
addEventListener("dragenter", () => $("stage").classList.toggle("dropping", ++dragged > 0));
addEventListener("dragleave", () => $("stage").classList.toggle("dropping", --dragged > 0));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", guarded(async (event) => {
  event.preventDefault();
  dragged = 0;
  $("stage").classList.remove("dropping");
  await openFiles([...event.dataTransfer.files]);
}));

for (const swatch of document.querySelectorAll("[data-side]")) {
  swatch.style.backgroundColor = COLOURS[swatch.dataset.side];
}
hasGpu().then((has) => ($("accelerator-label").hidden = !has)); // not awaited: a driver may never answer
guarded(async () => {
  say("Loading…");
  for (const { file, name, label } of await listModels()) addModel(file, name, label);
  await changeModel();
})();
