/** How long ago something was, by the wall clock: other clocks stand still while a laptop sleeps. */

export class Elapsed {
  #since: number;

  /** `since`: ms since 1970; 0 for what never was. */
  constructor(since = Date.now()) {
    this.#since = since;
  }

  restart(): void {
    this.#since = Date.now();
  }

  /** In ms, never negative: after the clock was put back it counts from there, so that nothing waits for the old time to come again. */
  get ms(): number {
    const now = Date.now();
    this.#since = Math.min(this.#since, now);
    return now - this.#since;
  }
}
