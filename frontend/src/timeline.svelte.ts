/** The list of events on the page, newest first. While somebody reads further down, what comes waits above until it is asked for. */

import type { FeedEvent, Snapshot } from "#feed";

import { call } from "./rest";

const LONGEST = 500; // events on the page; older ones are fetched again when asked for
const PAGE = 50;

type Page = Snapshot & { cursor: string };

export class Timeline {
  items = $state.raw<FeedEvent[]>([]);
  /** Not shown yet, so that the list does not jump. */
  fresh = $state.raw<FeedEvent[]>([]);
  next = $state<string | null>(null);
  loaded = $state(false);
  /** Whether somebody is reading below the top. */
  reads = false;
  #loading = false;
  #instead: Snapshot | undefined; // takes the whole list's place when what is fresh is shown
  /** What is gone: a page fetched later may still hold it. */
  readonly #deleted = new Set<number>();
  readonly #left = new Set<number>();

  /** The newest page, and the cursor that a stream goes on from. */
  async load(): Promise<string> {
    const page = await call<Page>("GET", `/v1/feed?limit=${PAGE}`);
    const known = new Set(page.items.map((event) => event.id));
    const oldest = page.next === null ? "" : (page.items.at(-1)?.id ?? "");
    // What came live may be in the archive a moment later only. Ids grow with time.
    const live = [...this.fresh, ...this.items].filter(({ id }) => id > oldest && !known.has(id));
    const items = [...live, ...page.items].sort((a, b) => (a.id < b.id ? 1 : -1));
    this.#show({ items, next: page.next });
    return page.cursor;
  }

  replace(snapshot: Snapshot): void {
    if (!this.reads || this.items.length === 0) return this.#show(snapshot);
    const newest = this.items[0]?.id ?? "";
    this.#instead = snapshot;
    this.fresh = this.#remaining(snapshot.items.filter((event) => event.id > newest));
  }

  /** Puts a live event on top, once; a deletion takes out what it takes back instead. False if nothing is new to see. */
  add(event: FeedEvent): boolean {
    if (event.type === "post-deleted" || event.type === "account-deleted") {
      if (event.type === "post-deleted") this.#deleted.add(event.object.id);
      else this.#left.add(event.actor.id);
      this.items = this.#remaining(this.items);
      this.fresh = this.#remaining(this.fresh);
      return false;
    }
    if ([...this.fresh, ...this.items].some(({ id }) => id === event.id)) return false;
    if (this.#remaining([event]).length === 0) return false;
    this.fresh = [event, ...this.fresh];
    if (!this.reads) this.showFresh();
    return true;
  }

  showFresh(): void {
    if (this.#instead) {
      const later = this.fresh.filter(({ id }) => !this.#instead?.items.some((item) => item.id === id));
      return this.#show({ items: [...later, ...this.#instead.items], next: this.#instead.next });
    }
    this.items = [...this.fresh, ...this.items];
    this.fresh = [];
    if (this.items.length <= LONGEST) return;
    this.items = this.items.slice(0, LONGEST);
    this.next = this.items.at(-1)?.id ?? null;
  }

  /** Takes out what a person did who is no longer followed. */
  without(person: number): void {
    this.items = this.items.filter((event) => event.actor.id !== person);
    this.fresh = this.fresh.filter((event) => event.actor.id !== person);
  }

  /** Adds a page of older ones at the end. Asked again meanwhile, it does nothing. */
  async older(): Promise<void> {
    if (this.next === null || this.#loading) return;
    this.#loading = true;
    try {
      const before = this.next;
      const page = await call<Page>("GET", `/v1/feed?limit=${PAGE}&before=${encodeURIComponent(before)}`);
      if (before !== this.next) return; // the list is another one now
      const known = new Set(this.items.map((event) => event.id));
      this.items = this.#remaining([...this.items, ...page.items.filter((event) => !known.has(event.id))]);
      this.next = page.next;
    } finally {
      this.#loading = false;
    }
  }

  #show({ items, next }: Snapshot): void {
    this.items = this.#remaining(items);
    this.next = next;
    this.fresh = [];
    this.#instead = undefined;
    this.loaded = true;
  }

  #remaining(events: FeedEvent[]): FeedEvent[] {
    return events.filter(
      (event) => !this.#left.has(event.actor.id) && !(event.type === "post" && this.#deleted.has(event.object.id)),
    );
  }
}
