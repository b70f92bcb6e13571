/** One open stream, by EventSource or by WebSocket: both tell the same story to the same listener. */

import { type Frame, NAMES } from "./events.js";

export interface Listener {
  frame(frame: Frame): void;
  /** It broke, and the browser is already trying again by itself. */
  interrupted(): void;
  /** It is over, and nothing more will come from it. */
  closed(): void;
}

/** After `close` the listener never hears from this stream again. `renew` hands in a newer token; false: it was not taken. */
export type Stream = { close(): void; renew(token: string): Promise<boolean> };

const RENEWED_WITHIN = 10_000; // ms

export function openEventSource(url: string, listener: Listener): Stream {
  const source = new EventSource(url);
  for (const event of NAMES) {
    source.addEventListener(event, ({ data: raw, lastEventId: id }: MessageEvent<string>) =>
      listener.frame({ event, id, raw, data: parse(raw) }),
    );
  }
  // Any answer but 200 closes an EventSource for good; after a broken connection it comes back by itself.
  source.onerror = () => (source.readyState === EventSource.CLOSED ? listener.closed() : listener.interrupted());
  const renew = async (token: string) => {
    const { origin, pathname } = new URL(url);
    const headers = { Authorization: `Bearer ${token}` };
    const signal = AbortSignal.timeout(RENEWED_WITHIN);
    const answer = await fetch(`${origin}${pathname}/token`, { method: "POST", headers, signal }).catch(() => null);
    return answer?.ok ?? false;
  };
  return { close: () => source.close(), renew };
}

export function openWebSocket(url: string, listener: Listener, token: string): Stream {
  const socket = new WebSocket(url, token ? ["feed.v1", `bearer.${token}`] : ["feed.v1"]);
  socket.onmessage = ({ data: raw }: MessageEvent<string>) => {
    const { event, id, data } = parse(raw);
    listener.frame({ event: String(event), id: String(id ?? ""), raw, data: object(data) });
  };
  socket.onclose = () => listener.closed();
  const close = () => {
    socket.onmessage = socket.onclose = null;
    socket.close();
  };
  const renew = (newer: string) => {
    socket.send(JSON.stringify({ token: newer }));
    return Promise.resolve(true); // `refused` leaves the stream as it is: it then ends with `expired`
  };
  return { close, renew };
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
