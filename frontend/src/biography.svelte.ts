/** Who somebody is, and what they have written, page by page. */

import { call } from "./rest";

type About = { created_at: string; followers: number; following: number };
type Post = { id: number; text: string; at: string };
type Page = { items: Post[]; next: string | null };

const PAGE = 10;

export class Biography {
  about = $state.raw<About>();
  posts = $state.raw<Post[]>([]);
  /** Where older ones are; null when there are none, undefined when nobody has asked. */
  next = $state<string | null>();
  readonly #path: string;
  #loading = false;

  constructor(person: number) {
    this.#path = `/v1/users/${person}`;
  }

  async load(): Promise<void> {
    this.about = await call<About>("GET", this.#path);
  }

  /** Adds the next page of older ones. Asked again meanwhile, it does nothing. */
  async more(): Promise<void> {
    if (this.next === null || this.#loading) return;
    this.#loading = true;
    try {
      const before = this.next ? `&before=${encodeURIComponent(this.next)}` : "";
      const page = await call<Page>("GET", `${this.#path}/posts?limit=${PAGE}${before}`);
      this.posts = [...this.posts, ...page.items];
      this.next = page.next;
    } finally {
      this.#loading = false;
    }
  }
}
