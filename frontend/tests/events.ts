/** An API with a feed in it, and the events of that feed. */

import type { FeedEvent } from "#feed";
import { vi } from "vitest";

export const ann = { id: 4, username: "ann" };

/** The n-th thing that happened. */
export function post(n: number, actor = ann): FeedEvent {
  const at = new Date(1_764_000_000_000 + n * 1_000).toISOString();
  return { id: String(n).padStart(6, "0"), type: "post", at, actor, object: { id: n, text: `post ${n}` } };
}

/** Posts `to` down to `from`, as a list has them. */
export function posts(to: number, from = 1): FeedEvent[] {
  return Array.from({ length: to - from + 1 }, (_, back) => post(to - back));
}

export function numbers(events: FeedEvent[]): number[] {
  return events.map(({ id }) => Number(id));
}

/** Answers `GET /v1/feed` from this log, newest first, page by page. Change `log` as things happen. */
export function feedApi(log: FeedEvent[]) {
  const api = { log, asked: [] as string[] };
  const answer = (address: string) => {
    api.asked.push(address);
    const query = new URLSearchParams(address.split("?")[1]);
    const [before, limit] = [query.get("before"), Number(query.get("limit"))];
    const older = api.log.filter(({ id }) => before === null || id < before);
    const items = older.slice(0, limit);
    const body = { items, next: older.length > limit ? items.at(-1)?.id : null, cursor: "c" };
    return Promise.resolve(new Response(JSON.stringify(body)));
  };
  vi.stubGlobal("fetch", vi.fn(answer));
  return api;
}
