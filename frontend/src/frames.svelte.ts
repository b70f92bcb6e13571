/** The last frames of the stream, as they came and from which node, for the console. */

import type { Frame } from "#feed";

export const MOST = 500; // the oldest go

export type Line = Frame & { at: Date; key: number; node: string };

export class Frames {
  lines = $state.raw<Line[]>([]);
  filter = $state("");
  heartbeats = $state(true);
  /** How many have come since the pause began. */
  missed = $state(0);
  /** What a pause keeps in sight while others come. */
  #still = $state.raw<Line[]>();
  readonly shown = $derived((this.#still ?? this.lines).filter((line) => this.#isWanted(line)));
  #count = 0;
  #node = "";

  get paused(): boolean {
    return this.#still !== undefined;
  }

  add(frame: Frame, node: string): void {
    if (frame.event === "hello") this.#node = String(frame.data["node"] ?? "");
    const line = { ...frame, at: new Date(), key: this.#count++, node: this.#node || node };
    this.lines = [line, ...this.lines.slice(0, MOST - 1)];
    if (this.paused) this.missed++;
  }

  /** Keeps what is in sight as it is, or goes on with all that came meanwhile. */
  pause(): void {
    this.#still = this.paused ? undefined : this.lines;
    this.missed = 0;
  }

  clear(): void {
    this.lines = [];
    if (this.paused) this.#still = [];
    this.missed = 0;
  }

  #isWanted({ event, id, raw, node }: Line): boolean {
    if (!this.heartbeats && event === "heartbeat") return false;
    const text = this.filter.trim().toLowerCase();
    return [event, id, raw, node].some((part) => part.toLowerCase().includes(text));
  }
}
