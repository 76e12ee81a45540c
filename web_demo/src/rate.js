const WINDOW_SECONDS = 2;

/** Events a second, over the last `WINDOW_SECONDS`. */
export class RateMeter {
  #times = [];

  /** Counts an event at this time, in seconds; returns the rate, null until there are two. */
  tick(time) {
    this.#times.push(time);
    while (this.#times[0] < time - WINDOW_SECONDS) this.#times.shift();
    const passed = time - this.#times[0];
    return passed > 0 ? (this.#times.length - 1) / passed : null;
  }
}
