/** The client's end of a feed: it stays connected, resumes where it was, and never dies in silence. */

import { FACTS, type FeedEvent, type Frame, type Gap, type Snapshot } from "./events";
import { openEventSource, openWebSocket, type Stream } from "./stream";

const HELLO_WITHIN = 5_000; // ms; a proxy that buffers keeps the hello back
const BROWSER_RETRY_WITHIN = 15_000; // ms; the server asks browsers to wait up to 6 s before they come back
const MISSED_HEARTBEATS = 2.5;
const SILENCES = 2; // on SSE, before WebSocket is tried
const REMEMBERED = 2_000; // event ids; repeats come only from what was last in flight
const BACKOFF_FIRST = 1_000; // ms
const BACKOFF_LONGEST = 30_000; // ms
const RENEW_EVERY = 4; // refusals in a row; any but the first is rarely about the token

export type State =
  | { phase: "connecting" }
  | { phase: "live"; by: "sse" | "ws"; node: string; resumed: boolean }
  | { phase: "waiting"; ms: number; reason: string }
  | { phase: "ended"; reason: "signed-out" | "closed" };

/** `denied`: the session is over. `unreachable`: nobody could say; it is asked again later. */
export type Renewal = "renewed" | "denied" | "unreachable";

export interface FeedOptions {
  onEvent(event: FeedEvent): void;
  /** The list as it is now: it replaces what was shown before. */
  onSnapshot(snapshot: Snapshot): void;
  onGap?(gap: Gap): void;
  onState?(state: State): void;
  /** Every message, before anything is made of it. */
  onFrame?(frame: Frame): void;
  /** Gets a new access token into the cookie. */
  renew(): Promise<Renewal>;
  cursor?: string;
}

/**
 * Every event since the cursor reaches `onEvent` once, in the server's order; where that cannot be had, `onGap` and
 * then `onSnapshot` are called. It comes back after every failure until `close`, or until the session has ended.
 */
export class Feed {
  readonly #url: string;
  readonly #on: FeedOptions;
  readonly #seen = new Set<string>();
  #stream: Stream | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined; // the one thing waited for: hello, a frame, or the next attempt
  #cursor: string;
  #by: "sse" | "ws" = "sse";
  #live = false;
  #quiet = 0; // ms without a frame after which the stream counts as dead
  #silences = 0;
  #failures = 0;
  #ended = false;

  constructor(url: string, options: FeedOptions) {
    this.#url = url;
    this.#on = options;
    this.#cursor = options.cursor ?? "";
    this.#open();
  }

  /** The place to come back to; empty before the first message that has one. */
  get cursor(): string {
    return this.#cursor;
  }

  close(): void {
    this.#end("closed");
  }

  #open(): void {
    this.#drop();
    this.#on.onState?.({ phase: "connecting" });
    const listener = {
      frame: (frame: Frame) => this.#frame(frame),
      interrupted: () => this.#interrupted(),
      closed: () => this.#closed(),
    };
    const open = this.#by === "sse" ? openEventSource : openWebSocket;
    this.#stream = open(this.#address(), listener);
    this.#wait(HELLO_WITHIN, () => this.#silent());
  }

  #address(): string {
    const url = new URL(this.#url, location.href);
    if (this.#by === "ws") {
      url.protocol = url.protocol.replace("http", "ws");
      url.pathname = url.pathname.replace(/stream$/, "ws");
    }
    if (this.#cursor) url.searchParams.set("cursor", this.#cursor);
    return url.href;
  }

  #frame({ event, id, raw, data }: Frame): void {
    this.#on.onFrame?.({ event, id, raw, data });
    if (event === "bye") return this.#bye(data);
    if (event === "hello") this.#hello(data);
    if (this.#live) this.#wait(this.#quiet, () => this.#retry("silent", 0));
    if (event === "heartbeat") this.#failures = 0;
    else if (event === "gap") this.#on.onGap?.(data as Gap);
    else if (event === "snapshot") this.#snapshot(data as Snapshot);
    else if (FACTS.includes(event) && this.#isNew(data as FeedEvent)) this.#on.onEvent(data as FeedEvent);
    if (id) this.#cursor = id;
  }

  #hello({ heartbeat, node, resumed }: Frame["data"]): void {
    this.#live = true;
    this.#silences = 0;
    this.#quiet = (Number(heartbeat) || 15) * 1_000 * MISSED_HEARTBEATS;
    this.#on.onState?.({ phase: "live", by: this.#by, node: String(node ?? ""), resumed: resumed === true });
  }

  #snapshot({ items = [], next = null }: Snapshot): void {
    this.#seen.clear(); // what the new list lacks may come again, and is new to it
    for (const event of items) this.#isNew(event);
    this.#on.onSnapshot({ items, next });
  }

  #isNew({ id }: FeedEvent): boolean {
    if (!id || this.#seen.has(id)) return false;
    this.#seen.add(id);
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.values().next().value as string);
    return true;
  }

  #bye({ reason, retry }: Frame["data"]): void {
    if (reason === "signed-out") return this.#end("signed-out");
    if (reason === "expired") return void this.#renew();
    const asked = (Number(retry) || BACKOFF_FIRST) * (1 + Math.random() / 2);
    // Whoever is turned away again and again (too many streams, too slow) also backs off.
    this.#retry(String(reason), Math.max(asked, this.#backoff()));
  }

  /** The browser comes back by itself, with Last-Event-ID; but not for ever unseen. */
  #interrupted(): void {
    this.#live = false;
    this.#silences = 0; // an end is an answer: nothing holds the messages back
    this.#on.onState?.({ phase: "connecting" });
    this.#wait(BROWSER_RETRY_WITHIN, () => this.#retry("silent", this.#backoff()));
  }

  #silent(): void {
    if (this.#by === "ws") this.#by = "sse";
    else if (++this.#silences >= SILENCES) this.#by = "ws";
    this.#retry("silent", this.#silences < SILENCES ? 0 : this.#backoff());
  }

  /** A browser does not say why a stream was refused: a token that has ended is the likeliest, so renew it first. */
  #closed(): void {
    if (this.#live) return this.#retry("broken", this.#backoff());
    this.#by = "sse"; // where it starts again when WebSocket is refused too
    if (this.#failures % RENEW_EVERY === 0) return void this.#renew();
    this.#retry("refused", this.#backoff());
  }

  async #renew(): Promise<void> {
    this.#drop();
    this.#on.onState?.({ phase: "connecting" });
    const renewal = await this.#on.renew();
    if (this.#ended) return;
    if (renewal === "denied") return this.#end("signed-out");
    const ms = this.#backoff();
    this.#retry("refused", renewal === "renewed" && this.#failures === 1 ? 0 : ms);
  }

  #retry(reason: string, ms: number): void {
    this.#drop();
    if (ms === 0) return this.#open();
    this.#on.onState?.({ phase: "waiting", ms, reason });
    this.#wait(ms, () => this.#open());
  }

  /** Full jitter: anything up to a ceiling that doubles, so that a thousand clients do not come back together. */
  #backoff(): number {
    return 100 + Math.random() * Math.min(BACKOFF_LONGEST, BACKOFF_FIRST * 2 ** Math.min(this.#failures++, 10));
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = undefined;
    this.#live = false;
  }

  #end(reason: "signed-out" | "closed"): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#drop();
    this.#on.onState?.({ phase: "ended", reason });
  }
}
