import { InputError } from "./errors.js";

const SIDES = { x: "x", y: "y", w: "width", h: "height" }; // field → its label

/**
 * The box that was typed, [x, y, w, h].
 *
 * @param {HTMLFormElement} form
 * @throws {InputError} a field is empty or no number; it is focused
 */
export function readBox(form) {
  return Object.entries(SIDES).map(([side, label]) => {
    const field = form.elements[side];
    if (Number.isFinite(field.valueAsNumber)) return field.valueAsNumber;
    field.focus();
    // A browser gives a number field's value as "" where it is none.
    throw new InputError(`${label} is ${field.validity.badInput ? "not a number" : "empty"}: type pixels of the photo`);
  });
}

/** Shows a box, to a hundredth of a pixel. */
export function writeBox(form, box) {
  Object.keys(SIDES).forEach((side, i) => (form.elements[side].value = Math.round(box[i] * 100) / 100));
}
