/** A feed under test, and what the tests ask about the streams it opens. */

import { vi } from "vitest";

import { Feed, type FeedEvent, type FeedOptions, type Snapshot, type State } from "../src";
import { FakeEventSource, FakeWebSocket } from "./server";

export const HELLO = { node: "stream-1", userId: 4, resumed: false, heartbeat: 15 };

export function post(id: string): FeedEvent {
  const actor = { id: 4, username: "ann" };
  return { id, type: "post", at: "2026-11-23T20:15:04.123Z", actor, object: { id: 1, text: id } };
}

/** A feed and everything it has told the page. `token`: null says that the session is over, `?` that nobody knows. */
export function open(token: string | null = "newer", options: Partial<FeedOptions> = {}) {
  const told = { events: [] as string[], snapshots: [] as string[][], gaps: [] as string[], states: [] as State[] };
  const renew = vi.fn(() => (token === "?" ? Promise.reject(new Error("offline")) : Promise.resolve(token)));
  const feed = new Feed("/v1/stream", {
    onEvent: (event) => told.events.push(event.id),
    onSnapshot: (snapshot: Snapshot) => told.snapshots.push(snapshot.items.map((event) => event.id)),
    onGap: (gap) => told.gaps.push(gap.reason),
    onState: (state) => told.states.push(state),
    token: renew,
    ...options,
  });
  return { feed, renew, ...told };
}

/** The stream opened last. */
export function source(): FakeEventSource {
  return FakeEventSource.all.at(-1) as FakeEventSource;
}

export function socket(): FakeWebSocket {
  return FakeWebSocket.all.at(-1) as FakeWebSocket;
}

export const opened = () => FakeEventSource.all.length;
export const cursorOf = (url: string) => new URL(url).searchParams.get("cursor");
/** Until WebSocket is tried: no hello for 5 and then 10 s, and after each a wait. */
export const HELD_BACK = 19_000; // ms
export const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
