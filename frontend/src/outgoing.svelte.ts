/** Posts on their way: shown at once, kept over failures and a reload, and sent again with the same key until the API has one. */

import type { FeedEvent, Person } from "#feed";

import { call, Refusal } from "./rest";

const TRIES = 5; // by itself; then it waits for a person, or for the stream to be back
const FIRST_WAIT = 2_000; // ms, doubled each time
// ms; the API keeps a key for a day, and after that would make the same post again. An hour for the way and for clocks.
const SENT_BY_ITSELF = 23 * 3_600_000; // ms

/** `old`: whether the API has it already cannot be found out any more. `refused`: the same would be refused again. */
type State = "sending" | "failed" | "old" | "refused";
export type Draft = { key: string; text: string; at: string; state: State; fault: string; tries: number };
type Made = { id: number; text: string; at: string; event_id: string };

export class Outgoing {
  drafts = $state.raw<Draft[]>([]);
  readonly #me: Person;
  readonly #made: (event: FeedEvent) => void;
  readonly #place: string; // each user's own: nobody is shown another's
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #closed = false;
  #forgotten = false;

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

  /** Sends it again because a person says so, however old it is. */
  retry(draft: Draft): void {
    if (draft.state === "failed") void this.#send({ ...draft, tries: 0 });
    if (draft.state === "old") void this.#send({ ...draft, at: new Date().toISOString(), tries: 0 });
  }

  /** The way to the server is open again. */
  retryAll(): void {
    for (const draft of this.drafts) if (draft.state === "failed") this.#again({ ...draft, tries: 0 });
  }

  discard(draft: Draft): void {
    this.#set(this.drafts.filter(({ key }) => key !== draft.key));
  }

  /** Nothing of it is kept: the person has signed out or left. */
  forget(): void {
    this.close();
    this.#set([]);
    this.#forgotten = true;
  }

  /** Nothing more is sent: it would go out as whoever is signed in then. What waits is there again when the same person is. */
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
      const state = isFinal(refusal) ? "refused" : "failed";
      const failed: Draft = { ...draft, state, fault: (refusal as Error).message, tries: draft.tries + 1 };
      this.#change(failed);
      if (mayPass(refusal) && failed.tries < TRIES) this.#later(failed);
    }
  }

  #again(draft: Draft): void {
    const age = Date.now() - Date.parse(draft.at);
    // Of a clock that was put back nobody knows how long ago that was.
    if (Math.abs(age) < SENT_BY_ITSELF) void this.#send(draft);
    else this.#change({ ...draft, state: "old", fault: "" });
  }

  #later(draft: Draft): void {
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        const now = this.drafts.find(({ key }) => key === draft.key);
        if (now?.state === "failed") this.#again(now);
      },
      FIRST_WAIT * 2 ** (draft.tries - 1) * (0.5 + Math.random()),
    );
    this.#timers.add(timer);
  }

  #change(draft: Draft): void {
    this.#set(this.drafts.map((one) => (one.key === draft.key ? draft : one)));
  }

  #set(drafts: Draft[]): void {
    if (this.#forgotten) return;
    this.drafts = drafts;
    try {
      if (drafts.length > 0) sessionStorage.setItem(this.#place, JSON.stringify(drafts));
      else sessionStorage.removeItem(this.#place);
    } catch {
      // Kept until the reload, then.
    }
  }
}

/** Whether the same may work later: nobody answered, or the server could not. */
function mayPass(refusal: unknown): boolean {
  return refusal instanceof Refusal && (refusal.status === 0 || refusal.status === 429 || refusal.status >= 500);
}

/** Whether the same can never become right: it was read, and refused. A session that has ended says nothing of the post. */
function isFinal(refusal: unknown): boolean {
  return refusal instanceof Refusal && refusal.status >= 400 && refusal.status !== 401 && !mayPass(refusal);
}

function kept(place: string): Draft[] {
  try {
    const drafts: unknown = JSON.parse(sessionStorage.getItem(place) ?? "[]");
    return Array.isArray(drafts) ? drafts.flatMap(read) : [];
  } catch {
    return [];
  }
}

/** The draft, as it may be sent again; none where it is not one of ours. */
function read(draft: Partial<Draft> | null): Draft[] {
  const { key, text, at, state, fault } = draft ?? {};
  if (typeof key !== "string" || typeof text !== "string" || typeof at !== "string") return [];
  const is = state === "old" || state === "refused" ? state : "failed";
  return [{ key, text, at, state: is, fault: typeof fault === "string" ? fault : "", tries: 0 }];
}

/** randomUUID exists only where the page came over TLS or from this machine. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
