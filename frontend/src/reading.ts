/** Asks for what changes meanwhile: an answer that was asked for before a change is never applied after it. */

export class Reading<T> {
  readonly #ask: () => Promise<T>;
  readonly #apply: (answer: T) => void;
  #asked = 0;
  #changes = 0;

  constructor(ask: () => Promise<T>, apply: (answer: T) => void) {
    this.#ask = ask;
    this.#apply = apply;
  }

  /** Something is different from now on: what has been asked for so far may not know of it. */
  changed(): void {
    this.#changes++;
  }

  /**
   * Applies an answer that was asked for after every change, and returns it; undefined, and nothing applied, if it has been
   * read anew since: the later answer knows more. Raises what asking raises.
   */
  async anew(): Promise<T | undefined> {
    const mine = ++this.#asked;
    // Each turn is for a change, of which a user can make so many a minute (LIMIT_WRITES): it ends when they do.
    for (;;) {
      const changes = this.#changes;
      const answer = await this.#ask();
      if (mine !== this.#asked) return undefined;
      if (changes !== this.#changes) continue;
      this.#apply(answer);
      return answer;
    }
  }

  /** What belongs to the answer that is applied, and is asked for by itself; undefined if something has changed meanwhile. */
  async more<M>(ask: () => Promise<M>): Promise<M | undefined> {
    const changes = this.#changes;
    const answer = await ask();
    return changes === this.#changes ? answer : undefined;
  }
}
