/** Everybody there is, by search, and whom the user follows. */

import type { Person } from "#feed";

import { Gone } from "./gone";
import { Reading } from "./reading";
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
  readonly #gone = new Gone();
  readonly #search = new Reading(
    () => this.#page(""),
    ({ items, next }) => {
      this.#listed = this.#query ? new Set() : this.followedIds;
      this.found = this.#there(items);
      this.next = next;
    },
  );
  readonly #reading = new Reading(readFollowed, (followed) => {
    this.followed = this.#there(followed);
    this.loaded = true;
  });
  readonly #changing = new Map<number, Promise<void>>();

  /** Shows whose names begin so. An answer that comes after a newer search has begun is dropped. */
  async search(query: string): Promise<void> {
    this.#query = query;
    this.#search.changed();
    await this.#search.anew();
  }

  async more(): Promise<void> {
    const { next } = this;
    if (next === null) return;
    const page = await this.#search.more(() => this.#page(next));
    if (!page || next !== this.next) return;
    const known = new Set(this.found.map((person) => person.id));
    this.found = [...this.found, ...this.#there(page.items).filter((person) => !known.has(person.id))];
    this.next = page.next;
  }

  async refresh(): Promise<void> {
    await this.#reading.anew();
  }

  /** Takes out somebody who is no more. */
  without(person: number): void {
    this.#gone.add(person);
    this.found = this.#there(this.found);
    this.followed = this.#there(this.followed);
  }

  async follow(person: Person): Promise<void> {
    await this.#change("POST", person, (others) => [...others, person]);
  }

  async unfollow(person: Person): Promise<void> {
    await this.#change("DELETE", person, (others) => others);
  }

  /** One change of a person at a time, so that the last answer is that of the last one. */
  async #change(method: string, person: Person, changed: (others: Person[]) => Person[]): Promise<void> {
    const before = this.#changing.get(person.id);
    const change = (async () => {
      await before?.catch(() => {}); // whoever asked for that was told
      await call(method, `/v1/friends/${person.id}`);
      this.#reading.changed();
      this.followed = changed(this.followed.filter(({ id }) => id !== person.id));
    })();
    this.#changing.set(person.id, change);
    try {
      await change;
    } finally {
      if (this.#changing.get(person.id) === change) this.#changing.delete(person.id);
    }
  }

  #page(after: string): Promise<Page> {
    const from = after && `&after=${encodeURIComponent(after)}`;
    return call<Page>("GET", `/v1/users?query=${encodeURIComponent(this.#query)}${from}`);
  }

  #there(some: Person[]): Person[] {
    return some.filter(({ id }) => !this.#gone.has(id));
  }
}

async function readFollowed(): Promise<Person[]> {
  const followed: Person[] = [];
  let after: string | null = "";
  for (let page = 0; page < MOST_PAGES && after !== null; page++) {
    const answer: Page = await call<Page>("GET", `/v1/friends${after && `?after=${encodeURIComponent(after)}`}`);
    followed.push(...answer.items);
    after = answer.next;
  }
  return followed;
}
