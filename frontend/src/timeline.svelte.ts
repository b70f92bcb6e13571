/** The list of events on the page, newest first. */

import type { FeedEvent, Snapshot } from "./feed/events";
import { call } from "./rest";

const LONGEST = 500; // events on the page; older ones are fetched again when asked for
const PAGE = 50;

export class Timeline {
  items = $state.raw<FeedEvent[]>([]);
  next = $state<string | null>(null);
  /** Posts that are gone: a page fetched later may still hold them. */
  readonly #deleted = new Set<number>();

  replace({ items, next }: Snapshot): void {
    this.items = this.#withoutDeleted(items);
    this.next = next;
  }

  /** Puts a live event on top; a deletion takes its post out instead, the end of an account everything of its user. */
  add(event: FeedEvent): void {
    if (event.type === "account-deleted") return this.without(event.actor.id);
    this.items = this.#withoutDeleted([event, ...this.items]);
    if (this.items.length <= LONGEST) return;
    this.items = this.items.slice(0, LONGEST);
    this.next = this.items.at(-1)?.id ?? null;
  }

  /** Takes out what a person did who is no longer followed. */
  without(person: number): void {
    this.items = this.items.filter((event) => event.actor.id !== person);
  }

  /** Reads the newest page again, and keeps what came live while it was on its way. */
  async reload(): Promise<void> {
    const page = await call<Snapshot>("GET", `/v1/feed?limit=${PAGE}`);
    const newest = page.items[0]?.id ?? "";
    const known = new Set(page.items.map((event) => event.id));
    const later = this.items.filter((event) => event.id > newest && !known.has(event.id)); // ids grow with time
    this.replace({ items: [...later, ...page.items], next: page.next });
  }

  async older(): Promise<void> {
    if (this.next === null) return;
    const page = await call<Snapshot>("GET", `/v1/feed?limit=${PAGE}&before=${encodeURIComponent(this.next)}`);
    const known = new Set(this.items.map((event) => event.id));
    this.items = this.#withoutDeleted([...this.items, ...page.items.filter((event) => !known.has(event.id))]);
    this.next = page.next;
  }

  #withoutDeleted(events: FeedEvent[]): FeedEvent[] {
    for (const event of events) if (event.type === "post-deleted") this.#deleted.add(event.object.id);
    return events.filter(
      (event) => event.type !== "post-deleted" && !(event.type === "post" && this.#deleted.has(event.object.id)),
    );
  }
}
