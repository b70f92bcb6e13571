/** What comes is told to the page, each event once, and the latest of it is remembered for the other tabs. */

import { FACTS, type FeedEvent, type Frame, type Gap, type Snapshot } from "./events.js";
import { type FeedOptions, safely } from "./options.js";

const REMEMBERED = 2_000; // event ids; repeats come only from what was last in flight
const RECENT = 200; // frames that a tab gets from the one that leads; whoever has missed more asks the server

/** What a tab has been told, for others to go on from: `recent` is all that came after the cursor `from`. */
export interface Chain {
  /** Undefined where nobody can go on from: the list before it was replaced, or what was forgotten had no cursor. */
  from: string | undefined;
  recent: Frame[];
  cursor: string;
}

export class Intake implements Chain {
  from: string | undefined;
  recent: Frame[] = [];
  cursor: string;
  readonly #on: FeedOptions;
  readonly #seen = new Set<string>();

  constructor(options: FeedOptions, cursor: string) {
    this.#on = options;
    this.from = this.cursor = cursor;
  }

  take(frame: Frame): void {
    this.#tell(frame);
    // A frame without a cursor comes from EventSource with the one before.
    const id = frame.id === this.cursor ? "" : frame.id;
    this.#remember({ ...frame, id });
    this.cursor = id || this.cursor;
  }

  /**
   * Goes on as the tab that leads does, if that has said everything that came after `place`: cursors are opaque, so it must
   * have begun there, or have been there. False, and nothing done, if that cannot be seen.
   */
  join({ from, recent, cursor }: Chain, place: string): boolean {
    const known = place ? recent.findIndex(({ id }) => id === place) : -1;
    const hasList = place !== "" || recent[0]?.event !== "snapshot";
    if (known >= 0 || place === from || !hasList) {
      for (const frame of recent.slice(known + 1)) {
        if (!this.#seen.has(String(frame.data.id))) this.#tell(frame);
      }
    } else if (place !== cursor) return false;
    [this.from, this.recent, this.cursor] = [from, recent, cursor];
    return true;
  }

  #tell(frame: Frame): void {
    const { event, data } = frame;
    safely(() => this.#on.onFrame?.(frame));
    if (event === "gap") safely(() => this.#on.onGap?.(data as Gap));
    else if (event === "snapshot") this.#snapshot(data as Snapshot);
    else if (FACTS.includes(event)) this.#event(data as FeedEvent);
  }

  /** A heartbeat is a place to go on from, and never takes that of an event. */
  #remember(frame: Frame): void {
    if (frame.event === "snapshot") [this.from, this.recent] = [undefined, []];
    else if (!isHeartbeat(frame) && !FACTS.includes(frame.event)) return;
    this.recent.push(frame);
    if (this.recent.length <= RECENT) return;
    const [gone] = this.recent.splice(Math.max(this.recent.findIndex(isHeartbeat), 0), 1) as [Frame];
    if (!isHeartbeat(gone)) this.from = gone.id || undefined;
  }

  #snapshot({ items = [], next = null }: Snapshot): void {
    if (!this.#on.onSnapshot) return [...items].reverse().forEach((item) => this.#event(item));
    this.#seen.clear(); // what the new list lacks may come again, and is new to it
    for (const event of items) this.#isNew(event);
    safely(() => this.#on.onSnapshot?.({ items, next }));
  }

  #event(event: FeedEvent): void {
    if (this.#isNew(event)) safely(() => this.#on.onEvent(event));
  }

  #isNew({ id }: FeedEvent): boolean {
    if (!id || this.#seen.has(id)) return false;
    this.#seen.add(id);
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.values().next().value as string);
    return true;
  }
}

const isHeartbeat = ({ event }: Frame) => event === "heartbeat";
