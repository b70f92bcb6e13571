/** Posts on their way: shown at once, kept over failures and a reload, and sent again with the same key until the API has one. */

import type { FeedEvent, Person } from "#feed";

import { call, Refusal } from "./rest";

const TRIES = 5; // by itself; then it waits for a person, or for the stream to be back
const FIRST_WAIT = 2_000; // ms, doubled each time

export type Draft = { key: string; text: string; at: string; state: "sending" | "failed"; fault: string; tries: number };
type Made = { id: number; text: string; at: string; event_id: string };

export class Outgoing {
  drafts = $state.raw<Draft[]>([]);
  readonly #me: Person;
  readonly #made: (event: FeedEvent) => void;
  readonly #place: string;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #closed = false;

  /** `made` gets each post as an event as soon as the API has it, mostly before the stream tells of it. */
  constructor(me: Person, made: (event: FeedEvent) => void) {
    this.#me = me;
    this.#made = made;
    this.#place = `stickyfeed unsent ${me.id}`;
    this.drafts = kept(this.#place);
  }

  post(text: string): void {
    const draft: Draft = { key: newKey(), text, at: new Date().toISOString(), state: "sending", fault: "", tries: 0 };
    this.#set([draft, ...this.drafts]);
    void this.#send(draft);
  }

  retry(draft: Draft): void {
    if (draft.state === "failed") void this.#send({ ...draft, tries: 0 });
  }

  /** The way to the server is open again. */
  retryAll(): void {
    for (const draft of this.drafts) this.retry(draft);
  }

  discard(draft: Draft): void {
    this.#set(this.drafts.filter(({ key }) => key !== draft.key));
  }

  /** Nothing more is sent: it would go out as whoever is signed in then. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  async #send(draft: Draft): Promise<void> {
    if (this.#closed) return;
    this.#change({ ...draft, state: "sending", fault: "" });
    try {
      const headers = { "Idempotency-Key": `"${draft.key}"` };
      const made = await call<Made>("POST", "/v1/posts", { text: draft.text }, headers);
      this.discard(draft);
      const object = { id: made.id, text: made.text };
      this.#made({ id: made.event_id, type: "post", at: made.at, actor: this.#me, object });
    } catch (refusal) {
      const failed: Draft = { ...draft, state: "failed", fault: (refusal as Error).message, tries: draft.tries + 1 };
      this.#change(failed);
      if (mayPass(refusal) && failed.tries < TRIES) this.#later(failed);
    }
  }

  #later(draft: Draft): void {
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        const now = this.drafts.find(({ key }) => key === draft.key);
        if (now?.state === "failed") void this.#send(now);
      },
      FIRST_WAIT * 2 ** (draft.tries - 1) * (0.5 + Math.random()),
    );
    this.#timers.add(timer);
  }

  #change(draft: Draft): void {
    this.#set(this.drafts.map((one) => (one.key === draft.key ? draft : one)));
  }

  #set(drafts: Draft[]): void {
    this.drafts = drafts;
    try {
      sessionStorage.setItem(this.#place, JSON.stringify(drafts));
    } catch {
      // Kept until the reload, then.
    }
  }
}

/** Whether the same may work later: nobody answered, or the server could not. */
function mayPass(refusal: unknown): boolean {
  return refusal instanceof Refusal && (refusal.status === 0 || refusal.status === 429 || refusal.status >= 500);
}

function kept(place: string): Draft[] {
  try {
    const drafts = JSON.parse(sessionStorage.getItem(place) ?? "[]") as Draft[];
    return drafts.map((draft) => ({ ...draft, state: "failed", tries: 0 }));
  } catch {
    return [];
  }
}

/** randomUUID exists only where the page came over TLS or from this machine. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
