/** The last frames of the stream, as they came and from which node, for the console. */

import type { Frame } from "#feed";

const MOST = 500;

export type Line = Frame & { at: Date; key: number; node: string };

export class Frames {
  lines = $state.raw<Line[]>([]);
  paused = $state(false);
  /** How many went by unseen since the pause began. */
  missed = $state(0);
  filter = $state("");
  heartbeats = $state(true);
  readonly shown = $derived(this.lines.filter((line) => this.#isWanted(line)));
  #count = 0;
  #node = "";

  add(frame: Frame, node: string): void {
    if (frame.event === "hello") this.#node = String(frame.data["node"] ?? "");
    const line = { ...frame, at: new Date(), key: this.#count++, node: this.#node || node };
    if (this.paused) this.missed++;
    else this.lines = [line, ...this.lines].slice(0, MOST);
  }

  pause(): void {
    this.paused = !this.paused;
    this.missed = 0;
  }

  clear(): void {
    this.lines = [];
    this.missed = 0;
  }

  #isWanted({ event, id, raw, node }: Line): boolean {
    if (!this.heartbeats && event === "heartbeat") return false;
    const text = this.filter.trim().toLowerCase();
    return [event, id, raw, node].some((part) => part.toLowerCase().includes(text));
  }
}
