/** What a screen reader says by itself: one thing at a time, and a number where much happens at once. */

import { words } from "./words/index.svelte";

const GATHERED = 1_500; // ms

export class Announcer {
  text = $state("");
  #waiting: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  say(text: string): void {
    this.#waiting.push(text);
    this.#timer ??= setTimeout(() => {
      this.text = this.#waiting.length === 1 ? (this.#waiting[0] ?? "") : words.freshLong(this.#waiting.length);
      this.#waiting = [];
      this.#timer = undefined;
    }, GATHERED);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
