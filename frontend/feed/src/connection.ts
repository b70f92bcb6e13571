/** One connection that stays: opened again after every failure, by EventSource or, where that cannot be had, by WebSocket. */

import { Elapsed } from "./elapsed.js";
import type { Frame } from "./events.js";
import { openEventSource, openWebSocket, type Stream } from "./stream.js";

const HELLO_WITHIN = 5_000; // ms, doubled while it does not come: a proxy that buffers keeps it back, or a node is slow
const HELLO_DOUBLED = 2; // times at most
const BROWSER_RETRY_WITHIN = 15_000; // ms; the server asks browsers to wait up to 6 s before they come back
const MISSED_HEARTBEATS = 2.5;
const LATE_HEARTBEATS = 1.2; // after these a stream is not trusted when the machine wakes
const CHECKED_EVERY = 5_000; // ms
const CALM = 300; // ms without a frame: what was missed has come
const SILENCES = 2; // on SSE, before WebSocket is tried
const SSE_AGAIN_AFTER = 600_000; // ms on WebSocket
const BACKOFF_FIRST = 1_000; // ms
const BACKOFF_LONGEST = 30_000; // ms
const RENEW_EVERY = 4; // refusals in a row; any but the first is rarely about the token
const RENEWED_APART = 10_000; // ms; a token that lives for seconds must not make a storm
const TOKEN_WITHIN = 30_000; // ms; then nobody could say

export type Phase =
  | { phase: "connecting" }
  | { phase: "catching-up" | "live"; by: "sse" | "ws"; node: string; resumed: boolean }
  | { phase: "waiting"; ms: number; reason: string }
  | { phase: "offline" }
  | { phase: "ended"; reason: "signed-out" | "closed" };

export interface ConnectionOptions {
  url: string;
  tokenIn: "cookie" | "url";
  cursor(): string;
  frame(frame: Frame): void;
  phase(phase: Phase): void;
  /** A newer token; null when the session is over. Rejects when nobody could say. */
  token(): Promise<string | null>;
}

export class Connection {
  readonly #on: ConnectionOptions;
  #stream: Stream | undefined;
  #trial: Stream | undefined; // SSE, beside an open WebSocket
  #timer: ReturnType<typeof setTimeout> | undefined; // the one thing waited for: hello, or the next attempt
  #calm: ReturnType<typeof setTimeout> | undefined;
  readonly #checks = setInterval(() => this.#check(), CHECKED_EVERY);
  #by: "sse" | "ws" = "sse";
  #live = false;
  #waits = false; // for a time to pass, not for an answer
  #heartbeat = 0; // ms
  readonly #heard = new Elapsed();
  readonly #onWebSocket = new Elapsed();
  readonly #renewed = new Elapsed(0);
  #silences = 0;
  #refusals = 0;
  #unanswered = 0; // questions for a token, in a row
  #failures = 0;
  #token = "";
  #handing = false;
  #ended = false;

  constructor(ends: ConnectionOptions) {
    this.#on = ends;
    this.#open();
  }

  /** The network, the lid or the tab has changed: what looks alive may be dead, and what failed may work now. */
  wake(network = false): void {
    if (this.#ended) return;
    if (network) [this.#by, this.#silences] = ["sse", 0]; // another network, perhaps without the proxy
    if (network || this.#waits || (this.#live && this.#heard.ms > this.#heartbeat * LATE_HEARTBEATS)) this.#open();
  }

  lost(): void {
    if (!this.#ended) this.#retry("offline", this.#backoff());
  }

  /** Says nothing of it: whoever closes knows. */
  close(): void {
    this.#ended = true;
    clearInterval(this.#checks);
    this.#drop();
  }

  #open(): void {
    this.#drop();
    if (this.#on.tokenIn === "url" && !this.#token) return void this.#renew();
    this.#on.phase({ phase: "connecting" });
    const listener = {
      frame: (frame: Frame) => this.#frame(frame),
      interrupted: () => this.#interrupted(),
      closed: () => this.#closed(),
    };
    const bearer = this.#on.tokenIn === "url" ? this.#token : "";
    if (this.#by === "sse") this.#stream = openEventSource(this.#address(), listener);
    else this.#stream = openWebSocket(this.#address(), listener, bearer);
    this.#wait(HELLO_WITHIN * 2 ** Math.min(this.#silences, HELLO_DOUBLED), () => this.#noHello());
  }

  #address(by = this.#by): string {
    const url = new URL(this.#on.url, location.href);
    if (by === "ws") {
      url.protocol = url.protocol.replace("http", "ws");
      url.pathname = url.pathname.replace(/stream$/, "ws");
    } else if (this.#on.tokenIn === "url") url.searchParams.set("access_token", this.#token);
    const cursor = this.#on.cursor();
    if (cursor) url.searchParams.set("cursor", cursor);
    return url.href;
  }

  #frame(frame: Frame): void {
    this.#heard.restart();
    this.#on.frame(frame);
    if (this.#ended) return;
    if (frame.event === "bye") return this.#bye(frame.data);
    if (frame.event === "hello") return this.#hello(frame.data);
    if (frame.event === "expiring") return void this.#hand();
    if (frame.event === "heartbeat") this.#failures = 0;
    // A server that has nothing else to say than a heartbeat has said everything that was missed.
    if (this.#calm !== undefined) this.#soonCalm(frame.event === "heartbeat" ? 0 : CALM);
  }

  #hello({ heartbeat, node, resumed }: Frame["data"]): void {
    clearTimeout(this.#timer);
    [this.#live, this.#waits, this.#silences, this.#refusals] = [true, false, 0, 0];
    this.#heartbeat = (Number(heartbeat) || 15) * 1_000;
    const is = { by: this.#by, node: String(node ?? ""), resumed: resumed === true };
    this.#on.phase({ phase: "catching-up", ...is });
    this.#then = () => this.#on.phase({ phase: "live", ...is });
    this.#soonCalm(CALM);
  }

  #then = () => {};

  #soonCalm(ms: number): void {
    clearTimeout(this.#calm);
    this.#calm = setTimeout(() => {
      this.#calm = undefined;
      this.#then();
    }, ms);
  }

  #check(): void {
    if (!this.#live) return;
    if (this.#heard.ms > this.#heartbeat * MISSED_HEARTBEATS) return this.#retry("silent", 0);
    if (this.#by === "ws" && this.#onWebSocket.ms > SSE_AGAIN_AFTER) this.#tryEventSource();
  }

  /** Asks for SSE beside the open WebSocket. A hello that comes through takes over, with the cursor; else all stays as it is. */
  #tryEventSource(): void {
    this.#onWebSocket.restart();
    this.#trial?.close();
    const trial: Stream = openEventSource(this.#address("sse"), {
      frame: (frame) => {
        if (this.#trial === trial) {
          if (frame.event !== "hello") return trial.close();
          this.#trial = undefined;
          this.#stream?.close();
          [this.#stream, this.#by] = [trial, "sse"];
        }
        this.#frame(frame);
      },
      interrupted: () => (this.#trial === trial ? trial.close() : this.#interrupted()),
      closed: () => this.#trial === trial || this.#closed(),
    });
    this.#trial = trial;
    setTimeout(() => this.#trial === trial && trial.close(), HELLO_WITHIN);
  }

  #bye({ reason, retry }: Frame["data"]): void {
    if (reason === "signed-out") return this.#end();
    if (reason === "expired") return this.#retry("expired", this.#untilRenewal(), () => void this.#renew());
    const asked = (Number(retry) || BACKOFF_FIRST) * (1 + Math.random() / 2);
    // Whoever is turned away again and again (too many streams, too slow) also backs off.
    this.#retry(String(reason), Math.max(asked, this.#backoff()));
  }

  /** The browser comes back by itself, with Last-Event-ID; but not for ever unseen. */
  #interrupted(): void {
    [this.#live, this.#waits, this.#silences] = [false, true, 0]; // an end is an answer: nothing holds the messages back
    clearTimeout(this.#calm);
    this.#calm = undefined;
    this.#on.phase({ phase: navigator.onLine === false ? "offline" : "connecting" });
    this.#wait(BROWSER_RETRY_WITHIN, () => this.#retry("silent", this.#backoff()));
  }

  #noHello(): void {
    this.#silences++;
    if (this.#by === "ws") this.#by = "sse";
    else if (this.#silences >= SILENCES) {
      this.#by = "ws";
      this.#onWebSocket.restart();
    }
    this.#retry("silent", this.#backoff());
  }

  /** A browser does not say why a stream was refused: a token that has ended is the likeliest, so renew it first. */
  #closed(): void {
    if (this.#live) return this.#retry("broken", this.#backoff());
    this.#by = "sse"; // where it starts again when WebSocket is refused too
    if (this.#refusals++ % RENEW_EVERY === 0) return void this.#renew();
    this.#retry("refused", this.#backoff());
  }

  async #renew(): Promise<void> {
    this.#drop();
    this.#on.phase({ phase: "connecting" });
    const token = await this.#newToken();
    if (this.#ended || this.#stream) return;
    if (token === "") this.#refusals = 0; // the next refusal asks again
    const ms = this.#backoff();
    this.#retry("refused", token && this.#refusals <= 1 ? 0 : ms);
  }

  /** Hands the open stream a newer token before its own expires; it goes on as if nothing had been. */
  async #hand(): Promise<void> {
    if (this.#handing) return;
    this.#handing = true;
    let token: string | null = "";
    while (token === "") {
      const wait = this.#untilRenewal();
      if (wait) await new Promise((after) => setTimeout(after, wait));
      token = this.#live ? await this.#newToken() : null; // at the latest `bye` ends this
    }
    this.#handing = false;
    const stream = this.#stream;
    if (token && stream && this.#live && !(await stream.renew(token)) && stream === this.#stream) this.#retry("token", 0);
  }

  /** Empty if nobody could say; null, and the end, if the session is over. */
  async #newToken(): Promise<string | null> {
    this.#renewed.restart();
    const late = new Promise<string>((after) => setTimeout(after, TOKEN_WITHIN, ""));
    let token: string | null = "";
    try {
      token = await Promise.race([this.#on.token(), late]);
    } catch {
      // Nobody could say.
    }
    if (token === null && !this.#ended) this.#end();
    this.#token = token || this.#token;
    this.#unanswered = token === "" ? this.#unanswered + 1 : 0;
    return token;
  }

  /** Soon where nobody could say: a server that has renewed, and whose answer was lost, forgives that for a time only. */
  #untilRenewal(): number {
    return this.#unanswered ? backoff(this.#unanswered - 1) : Math.max(0, RENEWED_APART - this.#renewed.ms);
  }

  #retry(reason: string, ms: number, then = () => this.#open()): void {
    this.#drop();
    if (ms === 0) return then();
    this.#waits = true;
    const offline = reason === "offline" || navigator.onLine === false; // a hint: it is tried all the same
    this.#on.phase(offline ? { phase: "offline" } : { phase: "waiting", ms, reason });
    this.#wait(ms, then);
  }

  #backoff(): number {
    return backoff(this.#failures++);
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#calm);
    this.#calm = undefined;
    this.#stream?.close();
    this.#trial?.close();
    this.#stream = this.#trial = undefined;
    this.#live = this.#waits = false;
  }

  #end(): void {
    this.close();
    this.#on.phase({ phase: "ended", reason: "signed-out" });
  }
}

/** Full jitter: anything up to a ceiling that doubles, so that a thousand clients do not come back together. */
function backoff(failures: number): number {
  return 100 + Math.random() * Math.min(BACKOFF_LONGEST, BACKOFF_FIRST * 2 ** Math.min(failures, 10));
}
