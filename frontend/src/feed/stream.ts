/** One open stream, by EventSource or by WebSocket: both tell the same story to the same listener. */

import { type Frame, NAMES } from "./events";

export interface Listener {
  frame(frame: Frame): void;
  /** It broke, and the browser is already trying again by itself. */
  interrupted(): void;
  /** It is over, and nothing more will come from it. */
  closed(): void;
}

/** After `close` the listener never hears from this stream again. */
export type Stream = { close(): void };

export function openEventSource(url: string, listener: Listener): Stream {
  const source = new EventSource(url);
  for (const event of NAMES) {
    source.addEventListener(event, ({ data: raw, lastEventId: id }: MessageEvent<string>) =>
      listener.frame({ event, id, raw, data: parse(raw) }),
    );
  }
  // Any answer but 200 closes an EventSource for good; after a broken connection it comes back by itself.
  source.onerror = () => (source.readyState === EventSource.CLOSED ? listener.closed() : listener.interrupted());
  return { close: () => source.close() };
}

export function openWebSocket(url: string, listener: Listener): Stream {
  const socket = new WebSocket(url, ["feed.v1"]);
  socket.onmessage = ({ data: raw }: MessageEvent<string>) => {
    const { event, id, data } = parse(raw);
    listener.frame({ event: String(event), id: String(id ?? ""), raw, data: object(data) });
  };
  socket.onclose = () => listener.closed();
  const close = () => {
    socket.onmessage = socket.onclose = null;
    socket.close();
  };
  return { close };
}

function parse(text: string): Record<string, unknown> {
  try {
    return object(JSON.parse(text));
  } catch {
    return {};
  }
}

function object(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
