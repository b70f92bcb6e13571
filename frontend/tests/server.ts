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

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeWebSocket.all.push(this);
  }
  close(): void {
    this.isClosed = true;
    this.onclose?.();
  }

  say(event: string, data: unknown, id?: string): void {
    this.onmessage?.({ data: JSON.stringify({ event, id, data }) });
  }
}

/** Puts the fakes where the browser's own would be, and stops the clock. */
export function install(): void {
  FakeEventSource.all = [];
  FakeWebSocket.all = [];
  vi.stubGlobal("EventSource", FakeEventSource);
  vi.stubGlobal("WebSocket", FakeWebSocket);
  vi.stubGlobal("location", { href: "https://feed.example/" });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  vi.useFakeTimers();
}

export function uninstall(): void {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
}
