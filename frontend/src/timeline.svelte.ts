/** The list of events on the page, newest first. While somebody reads further down, what comes waits above until it is asked for. */

import type { FeedEvent, Snapshot } from "#feed";

import { Gone } from "./gone";
import { Reading } from "./reading";
import { call } from "./rest";

const PAGE = 50;
const LONGEST_ASKED = 100; // events a page, as the API has it
/** Events in the list for somebody at its top, and in the one that waits. What is cut off at the end is fetched again when asked for. */
export const LONGEST = 500;
/** Events for somebody who goes back in time. Then it goes no further, and the way on is back to the top. */
export const FURTHEST = 2_000;

type Page = Snapshot & { cursor: string };

export class Timeline {
  items = $state.raw<FeedEvent[]>([]);
  next = $state<string | null>(null);
  loaded = $state(false);
  /** Whether somebody is reading below the top. */
  reads = false;
  /** The whole list as it is now, while an older one is read. */
  #waiting = $state.raw<Snapshot>();
  readonly #shown = $derived(ids(this.items));
  #loading = false;
  readonly #deleted = new Gone();
  readonly #left = new Gone();
  readonly #unfollowed = new Gone();
  readonly #reading = new Reading(
    () => this.#read(),
    ({ items, next }) => {
      this.#offer(this.#merged({ items: this.#followed(items), next }));
      this.loaded = true;
    },
  );

  /** Whether there is another list to show than the one that is read: what is new, or what was missed in between. */
  get waits(): boolean {
    return this.#waiting !== undefined;
  }

  /** How many of the list that waits have not been seen. */
  get fresh(): number {
    return this.#waiting?.items.filter(({ id }) => !this.#shown.has(id)).length ?? 0;
  }

  /** Whether somebody has come as far back as the page goes. */
  get isFull(): boolean {
    return this.items.length >= FURTHEST;
  }

  /** Reads the list anew, as far down as it goes, and answers the cursor that a stream goes on from; none if it has been read since. */
  async load(): Promise<string | undefined> {
    return (await this.#reading.anew())?.cursor;
  }

  async #read(): Promise<Page> {
    const down = this.items.at(-1)?.id ?? "";
    const first = await page(PAGE);
    const read = { ...first };
    while (down && read.next !== null && read.next > down && read.items.length < LONGEST) {
      const more = await page(LONGEST_ASKED, read.next);
      read.items = [...read.items, ...more.items];
      read.next = more.next;
    }
    return read;
  }

  /** Takes the server's word for the whole list, after a gap: what is shown may have holes. */
  replace(snapshot: Snapshot): void {
    this.#reading.changed();
    this.#unfollowed.clear(); // a follow may be among what was missed
    this.#offer(snapshot);
    this.loaded = true;
  }

  /** Puts a live event on top, once; a deletion takes out what it takes back instead. False if nothing is new to see. */
  add(event: FeedEvent): boolean {
    if (event.type === "post-deleted" || event.type === "account-deleted") {
      if (event.type === "post-deleted") this.#deleted.add(event.object.id);
      else this.#left.add(event.actor.id);
      this.#keep((one) => this.#isThere(one));
      return false;
    }
    this.#unfollowed.delete(event.actor.id); // the stream knows whom its user follows
    const now = this.#now;
    if (!this.#isThere(event) || now.items.some(({ id }) => id === event.id)) return false;
    this.#offer(cut({ items: [event, ...now.items], next: now.next }));
    return true;
  }

  /** A post is no more; the stream will say so too. */
  remove(post: number): void {
    this.#deleted.add(post);
    this.#keep((one) => this.#isThere(one));
  }

  /** Somebody is at the top: shows what waits, and lets go of what is far below. */
  showFresh(): void {
    this.#show(cut(this.#now));
  }

  /** Takes out what a person did who is no longer followed, until `follows`. */
  without(person: number): void {
    this.#unfollowed.add(person);
    this.#keep((event) => event.actor.id !== person);
  }

  /** What this person did belongs into the list again. */
  follows(person: number): void {
    this.#unfollowed.delete(person);
  }

  /** Adds a page of older ones at the end. Asked again meanwhile, it does nothing. */
  async older(): Promise<void> {
    if (this.next === null || this.#loading || this.isFull) return;
    this.#loading = true;
    try {
      const before = this.next;
      const older = await this.#reading.more(() => page(PAGE, before));
      if (!older || before !== this.next) return; // the list is another one now
      const items = this.#followed(older.items).filter((event) => !this.#shown.has(event.id) && this.#isThere(event));
      this.items = [...this.items, ...items];
      this.next = older.next;
    } finally {
      this.#loading = false;
    }
  }

  get #now(): Snapshot {
    return this.#waiting ?? { items: this.items, next: this.next };
  }

  /** Live ones may be in the archive a moment later only, so they stay. Ids grow with time. */
  #merged(read: Snapshot): Snapshot {
    const known = ids(read.items);
    const live = this.#now.items.filter(({ id }) => !known.has(id) && (read.next === null || id > read.next));
    return { items: [...live, ...read.items].sort((a, b) => (a.id < b.id ? 1 : -1)), next: read.next };
  }

  #offer(list: Snapshot): void {
    const there = { items: list.items.filter((event) => this.#isThere(event)), next: list.next };
    if (!this.reads || this.items.length === 0) this.#show(there);
    else this.#waiting = isSame(there.items, this.items) ? undefined : there;
  }

  #show({ items, next }: Snapshot): void {
    this.items = items;
    this.next = next;
    this.#waiting = undefined;
  }

  #keep(stays: (event: FeedEvent) => boolean): void {
    this.items = this.items.filter(stays);
    if (this.#waiting) this.#waiting = { items: this.#waiting.items.filter(stays), next: this.#waiting.next };
  }

  /** An answer may be older than an unfollow, and the archive learns of that later than the stream. */
  #followed(items: FeedEvent[]): FeedEvent[] {
    return items.filter(({ actor }) => !this.#unfollowed.has(actor.id));
  }

  #isThere(event: FeedEvent): boolean {
    return !this.#left.has(event.actor.id) && !(event.type === "post" && this.#deleted.has(event.object.id));
  }
}

function page(limit: number, before?: string): Promise<Page> {
  return call<Page>("GET", `/v1/feed?limit=${limit}${before ? `&before=${encodeURIComponent(before)}` : ""}`);
}

function ids(events: FeedEvent[]): Set<string> {
  return new Set(events.map(({ id }) => id));
}

function isSame(some: FeedEvent[], others: FeedEvent[]): boolean {
  return some.length === others.length && some.every(({ id }, at) => id === others[at]?.id);
}

/** No longer than LONGEST: the rest is fetched again, so there is no hole. */
function cut({ items, next }: Snapshot): Snapshot {
  if (items.length <= LONGEST) return { items, next };
  const kept = items.slice(0, LONGEST);
  return { items: kept, next: kept.at(-1)?.id ?? null };
}
