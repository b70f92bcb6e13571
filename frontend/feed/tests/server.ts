/** A server's end of the streams, by hand: it records who came, and says what a test tells it to. */

import { vi } from "vitest";

type Said = { data: string; lastEventId: string };

export class FakeEventSource {
  static readonly CONNECTING = 0;
  static readonly CLOSED = 2;
  static all: FakeEventSource[] = [];
  readyState = 0;
  onerror: (() => void) | null = null;
  #listeners = new Map<string, (message: Said) => void>();
  #id = "";

  constructor(readonly url: string) {
    FakeEventSource.all.push(this);
  }
  addEventListener(name: string, listener: (message: Said) => void): void {
    this.#listeners.set(name, listener);
  }
  close(): void {
    this.readyState = FakeEventSource.CLOSED;
  }

  say(event: string, data: unknown, id = ""): void {
    if (this.readyState === FakeEventSource.CLOSED) return;
    this.readyState = 1;
    this.#id = id || this.#id; // as the standard has it: an id stays until the next one
    const text = typeof data === "string" ? data : JSON.stringify(data);
    this.#listeners.get(event)?.({ data: text, lastEventId: this.#id });
  }
  /** The connection breaks; a browser comes back by itself. */
  break(): void {
    this.readyState = FakeEventSource.CONNECTING;
    this.onerror?.();
  }
  /** The server answers something else than 200. */
  refuse(): void {
    this.readyState = FakeEventSource.CLOSED;
    this.onerror?.();
  }
}

export class FakeWebSocket {
  static all: FakeWebSocket[] = [];
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  isClosed = false;
  sent: string[] = [];

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeWebSocket.all.push(this);
  }
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {
    this.isClosed = true;
    this.onclose?.();
  }

  say(event: string, data: unknown, id?: string): void {
    this.onmessage?.({ data: JSON.stringify({ event, id, data }) });
  }
}

type Waiting = { signal: AbortSignal | undefined; enter: () => void };

/** The browser's locks: one holder of a name at a time, the others queue. `refuses`: a browser that denies them. */
export class FakeLocks {
  asked = 0;
  refuses = false;
  #holders = new Map<string, { fail: (error: Error) => void }>();
  #queues = new Map<string, Waiting[]>();

  request(name: string, options: { steal?: boolean; signal?: AbortSignal }, held: () => Promise<void>): Promise<void> {
    this.asked++;
    if (this.refuses) return Promise.reject(new DOMException("denied", "SecurityError"));
    return new Promise((done, fail) => {
      const { signal, steal } = options;
      signal?.addEventListener("abort", () => fail(new DOMException("given up", "AbortError")));
      const enter = () => {
        const mine = { fail };
        this.#holders.set(name, mine);
        void held().then(() => {
          done();
          if (this.#holders.get(name) === mine) this.#next(name);
        });
      };
      const holder = this.#holders.get(name);
      if (steal) holder?.fail(new DOMException("stolen", "AbortError"));
      if (steal || !holder) enter();
      else this.#queues.set(name, [...(this.#queues.get(name) ?? []), { signal, enter }]);
    });
  }
  #next(name: string): void {
    this.#holders.delete(name);
    const queue = (this.#queues.get(name) ?? []).filter(({ signal }) => !signal?.aborted);
    queue.shift()?.enter();
    this.#queues.set(name, queue);
  }
}

export class FakeChannel {
  static all: FakeChannel[] = [];
  onmessage: ((message: { data: unknown }) => void) | null = null;

  constructor(readonly name: string) {
    FakeChannel.all.push(this);
  }
  postMessage(data: unknown): void {
    const copy = structuredClone(data);
    for (const other of FakeChannel.all) if (other !== this && other.name === this.name) other.onmessage?.({ data: copy });
  }
  close(): void {
    FakeChannel.all = FakeChannel.all.filter((one) => one !== this);
  }
}

/** A window of the browser: its signs, and what it keeps. */
export const browser = { window: new EventTarget(), document: new EventTarget(), kept: new Map<string, string>() };

/** What the page has thrown at the client. */
export const reported: unknown[] = [];

/** What reaches `POST /v1/stream/token`, and how it is answered. */
export const renewals = { bearers: [] as string[], ok: true };

/** Puts the fakes where the browser's own would be, and stops the clock. */
export function install(): void {
  FakeEventSource.all = [];
  FakeWebSocket.all = [];
  FakeChannel.all = [];
  browser.window = new EventTarget();
  browser.document = new EventTarget();
  browser.kept = new Map();
  reported.length = 0;
  vi.stubGlobal("reportError", (error: unknown) => reported.push(error));
  Object.assign(renewals, { bearers: [], ok: true });
  vi.stubGlobal("EventSource", FakeEventSource);
  vi.stubGlobal("WebSocket", FakeWebSocket);
  vi.stubGlobal("BroadcastChannel", FakeChannel);
  vi.stubGlobal("window", browser.window);
  vi.stubGlobal("document", browser.document);
  vi.stubGlobal("navigator", { onLine: true, locks: new FakeLocks() });
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => browser.kept.get(key) ?? null,
    setItem: (key: string, value: string) => browser.kept.set(key, value),
    removeItem: (key: string) => browser.kept.delete(key),
  });
  vi.stubGlobal("location", { href: "https://feed.example/" });
  vi.stubGlobal("fetch", (_: string, { headers }: { headers: { Authorization: string } }) => {
    renewals.bearers.push(headers.Authorization);
    return Promise.resolve({ ok: renewals.ok });
  });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  vi.useFakeTimers();
}

export function uninstall(): void {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
}
