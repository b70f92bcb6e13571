/** What comes is told to the page, each event once, and the latest of it is remembered for the other tabs. */

import { FACTS, type FeedEvent, type Frame, type Gap, type Snapshot } from "./events.js";
import { type FeedOptions, safely } from "./options.js";

const REMEMBERED = 2_000; // event ids; repeats come only from what was last in flight
const RECENT = 200; // frames that a tab gets from the one that leads; whoever has missed more asks the server

export class Intake {
  cursor: string;
  readonly recent: Frame[] = [];
  readonly #on: FeedOptions;
  readonly #seen = new Set<string>();
  #began = false; // the cursor is one of this browser's stream, not one that came with a list

  constructor(options: FeedOptions, cursor: string) {
    this.#on = options;
    this.cursor = cursor;
  }

  take(frame: Frame): void {
    const { event, id, data } = frame;
    safely(() => this.#on.onFrame?.(frame));
    if (event === "gap") safely(() => this.#on.onGap?.(data as Gap));
    else if (event === "snapshot") this.#snapshot(data as Snapshot);
    else if (FACTS.includes(event)) this.#event(data as FeedEvent);
    this.#remember(frame);
    if (id) [this.cursor, this.#began] = [id, true];
  }

  /**
   * Goes on where the tab that leads is, from what it remembers; `joined`: all it has said was heard here. False, and
   * nothing done, if that does not reach back to where this tab was.
   */
  join(recent: Frame[], cursor: string, joined: boolean): boolean {
    const known = recent.findIndex(({ id }) => id === this.cursor);
    const lacks = !joined && known < 0 && cursor !== this.cursor;
    if (lacks && !this.#isReachedBy(recent)) return false;
    for (const frame of recent.slice(known + 1)) {
      if (frame.event === "snapshot" ? lacks : !this.#seen.has(String(frame.data.id))) this.take(frame);
    }
    if (cursor) [this.cursor, this.#began] = [cursor, true];
    return true;
  }

  #isReachedBy(recent: Frame[]): boolean {
    const isFromSnapshot = recent[0]?.event === "snapshot";
    // A list that came with a cursor may end before the snapshot, or before the oldest frame that is left.
    if (this.cursor && !this.#began) return !isFromSnapshot && (recent.length < RECENT || recent.some(isHeartbeat));
    return isFromSnapshot;
  }

  /** A heartbeat is a place to go on from, and never takes that of an event. */
  #remember(frame: Frame): void {
    if (frame.event === "snapshot") this.recent.length = 0; // nobody can go on from before it
    else if (!isHeartbeat(frame) && !FACTS.includes(frame.event)) return;
    this.recent.push(frame);
    if (this.recent.length > RECENT) this.recent.splice(Math.max(this.recent.findIndex(isHeartbeat), 0), 1);
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
