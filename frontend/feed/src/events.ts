/** What the stream says: the events of the wire, and the frames they come in. */

export type Person = { id: number; username: string };

type Fact<T extends string, O> = { id: string; type: T; at: string; actor: Person; object: O };

/** Something a person did. `id` is unique for ever: the same id twice is the same event, and ids grow with time. */
export type FeedEvent =
  | Fact<"post", { id: number; text: string }>
  | Fact<"post-deleted", { id: number }>
  | Fact<"follow" | "unfollow", Person>
  | Fact<"login" | "logout" | "sign-up" | "account-deleted", object>;

export const FACTS: readonly string[] = [
  "post",
  "post-deleted",
  "follow",
  "unfollow",
  "login",
  "logout",
  "sign-up",
  "account-deleted",
] satisfies FeedEvent["type"][];

/** Every name the server may send. An EventSource delivers only names that are asked for. */
export const NAMES: readonly string[] = ["hello", "snapshot", "gap", "heartbeat", "expiring", "bye", ...FACTS];

/** The newest events, newest first; `next` asks `GET /v1/feed?before=` for older ones. */
export type Snapshot = { items: FeedEvent[]; next: string | null };

/** The server could not send everything since the cursor; a snapshot follows. */
export type Gap = { reason: string; from: string | null; to: string };

/** One message as it came: `raw` is its text, `data` the JSON object in it ({} if there is none), `id` the cursor after it. */
export type Frame = { event: string; id: string; raw: string; data: Record<string, unknown> };
