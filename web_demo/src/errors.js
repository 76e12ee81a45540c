/** What the user, a file or the browser did not provide: its message is one sentence for the page. */
export class InputError extends Error {
  name = "InputError";
}
