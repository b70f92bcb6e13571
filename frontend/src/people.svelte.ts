/** Everybody there is, by search, and whom the user follows. */

import type { Person } from "#feed";

import { call } from "./rest";

type Page = { items: Person[]; next: string | null };

const MOST_PAGES = 20; // of the followed; who follows more sees the first ones and finds the others by search

export class People {
  found = $state.raw<Person[]>([]);
  followed = $state.raw<Person[]>([]);
  next = $state<string | null>(null);
  /** Whether it is known whom the user follows. */
  loaded = $state(false);
  readonly followedIds = $derived(new Set(this.followed.map((person) => person.id)));
  /** Whom the list need not repeat: those who were followed when it was asked for. Who is followed since stays where they are. */
  #listed = $state.raw<ReadonlySet<number>>(new Set());
  /** Who was found. Without a search only those who are not in the other list. */
  readonly others = $derived(
    this.found.filter(({ id }) => !(this.#listed.has(id) && this.followedIds.has(id))),
  );
  #query = "";

  /** Shows whose names begin so. An answer that comes after a newer search has begun is dropped. */
  async search(query: string): Promise<void> {
    this.#query = query;
    const page = await call<Page>("GET", `/v1/users?query=${encodeURIComponent(query)}`);
    if (query !== this.#query) return;
    this.#listed = query ? new Set() : this.followedIds;
    this.found = page.items;
    this.next = page.next;
  }

  async more(): Promise<void> {
    const query = this.#query;
    if (this.next === null) return;
    const after = encodeURIComponent(this.next);
    const page = await call<Page>("GET", `/v1/users?query=${encodeURIComponent(query)}&after=${after}`);
    if (query !== this.#query) return;
    const known = new Set(this.found.map((person) => person.id));
    this.found = [...this.found, ...page.items.filter((person) => !known.has(person.id))];
    this.next = page.next;
  }

  async refresh(): Promise<void> {
    const followed: Person[] = [];
    let after: string | null = "";
    for (let page = 0; page < MOST_PAGES && after !== null; page++) {
      const answer: Page = await call<Page>("GET", `/v1/friends${after && `?after=${encodeURIComponent(after)}`}`);
      followed.push(...answer.items);
      after = answer.next;
    }
    this.followed = followed;
    this.loaded = true;
  }

  /** Takes out somebody who is no more. */
  without(person: number): void {
    this.found = this.found.filter(({ id }) => id !== person);
    this.followed = this.followed.filter(({ id }) => id !== person);
  }

  async follow(person: Person): Promise<void> {
    await call("POST", `/v1/friends/${person.id}`);
    if (!this.followedIds.has(person.id)) this.followed = [...this.followed, person];
  }

  async unfollow(person: Person): Promise<void> {
    await call("DELETE", `/v1/friends/${person.id}`);
    this.followed = this.followed.filter(({ id }) => id !== person.id);
  }
}
