/** The last frames of the stream, as they came, for the console. */

import type { Frame } from "./feed/events";

const MOST = 500;

export type Line = Frame & { at: Date; key: number };

export class Frames {
  lines = $state.raw<Line[]>([]);
  paused = $state(false);
  /** How many went by unseen since the pause began. */
  missed = $state(0);
  #count = 0;

  add(frame: Frame): void {
    if (this.paused) this.missed++;
    else this.lines = [{ ...frame, at: new Date(), key: this.#count++ }, ...this.lines].slice(0, MOST);
  }

  pause(): void {
    this.paused = !this.paused;
    this.missed = 0;
  }

  clear(): void {
    this.lines = [];
    this.missed = 0;
  }
}
