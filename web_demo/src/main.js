/** The page: its elements, what the user does, what is said about it. */
import { Camera } from "./camera.js";
import { checkBox } from "./crop.js";
import { InputError } from "./errors.js";
import { PoseEstimator } from "./estimator.js";
import { fetchModel, listModels } from "./models.js";
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
let photo = null; // {name, canvas, box}
let camera = null;

function say(message, isError = false) {
  if ($("status").textContent !== message) $("status").textContent = message;
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

async function openModel(option) {
  const label = option.textContent;
  const accelerator = $("accelerator").value;
  say(`Loading ${label}…`);
  const bytes = droppedModels.get(option) ?? (await fetchModel(option.value));
  const next = await PoseEstimator.open(bytes, { source: label, accelerator });
  const last = estimator;
  estimator = next;
  last?.close();
  const { accelerator: actual, threads } = estimator.network;
  $("accelerator").value = actual;
  const where = actual === "webgpu" ? "the graphics processor" : `${threads} thread${threads > 1 ? "s" : ""}`;
  notice = actual === accelerator ? "" : `WebGPU is missing or does not run ${label} rightly here.`;
  say(`${label} is ready, on ${where}. ${notice}`.trim());
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
      $("model").disabled = $("accelerator").disabled = false;
    }
  });
  opening = task.catch(() => {});
  return task;
}

async function dropModel(file) {
  const option = new Option(file.name, file.name, false, true);
  droppedModels.set(option, new Uint8Array(await file.arrayBuffer()));
  $("model").add(option);
  try {
    await changeModel();
  } catch (error) {
    option.remove();
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
  photo = { name: file.name, canvas, box: null };
  await estimatePhoto();
}

async function estimatePhoto() {
  const asked = photo;
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
  const how = asked.box ? "in your box" : "with the whole photo as one person; drag a box around one for a better pose";
  say(`${found} of ${pose.keypoints.length} joints found ${how}. ${notice}`.trim());
  $("view").setAttribute("aria-label", `Photo ${asked.name} with ${found} joints of one person drawn on it`);
  $("stats").hidden = $("box-details").hidden = false;
  pose.box.forEach((side, i) => ($("box-form").elements["xywh"[i]].value = Math.round(side * 100) / 100));
}

function setBox(box) {
  if (!photo) return;
  photo = { ...photo, box: box && checkBox(box, photo.canvas) };
  return estimatePhoto();
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
  while (await running.nextFrame()) {
    const time = performance.now() / 1000;
    const used = estimator;
    let pose;
    try {
      pose = await used.follow(pixelsOf(running.canvas), previous);
    } catch (error) {
      if (used === estimator) throw error;
      continue; // the model was changed under it
    }
    if (camera !== running) return;
    if (pose.found !== previous?.found) say(pose.found ? "Following one person." : "Looking for a person…");
    previous = pose;
    if (pose.found) pose = { ...pose, keypoints: smoother.smooth(pose.keypoints, time, pose.box) };
    else smoother = new PoseSmoother();
    stage.show(running.canvas, pose.found ? pose : null, used.spec.skeleton, { mirrored: running.facesUser });
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
  $("fps-stat").hidden = $("stats").hidden = $("joints-details").hidden = true;
  say("The camera is off.");
}

// What was found

function showPose(pose, { skeleton }) {
  $("milliseconds").textContent = `${pose.milliseconds.toFixed(1)} ms`;
  $("joints-details").hidden = false;
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
stage.onBox = guarded(setBox);
$("whole").addEventListener("click", guarded(() => setBox(null)));
$("box-form").addEventListener("submit", guarded((event) => {
  event.preventDefault();
  return setBox([..."xywh"].map((side) => $("box-form").elements[side].valueAsNumber));
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

guarded(async () => {
  $("accelerator-label").hidden = !navigator.gpu;
  say("Loading…");
  for (const { file, label } of await listModels()) $("model").add(new Option(label, file));
  await changeModel();
})();
