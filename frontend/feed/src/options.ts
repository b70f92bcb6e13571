/** What a page tells the feed, and is told by it. */

import type { Phase } from "./connection.js";
import type { FeedEvent, Frame, Gap, Snapshot } from "./events.js";

/** `tab`: which one holds the stream. */
export type State = Phase & { tab: "this" | "other" };

export interface FeedOptions {
  onEvent(event: FeedEvent): void;
  /** The list as it is now: it replaces what was shown before. Without this, `onEvent` gets what it has not had, oldest first. */
  onSnapshot?(snapshot: Snapshot): void;
  /** Something since the cursor cannot be had as a stream; a snapshot follows. */
  onGap?(gap: Gap): void;
  onState?(state: State): void;
  /** Every message, before anything is made of it. */
  onFrame?(frame: Frame): void;
  /** Gets a newer access token (and cookie). null: the session is over. A rejection: nobody could say, it is asked again. */
  token(): Promise<string | null>;
  /** Whose feed it is, in a form of your own: tabs share a stream, and a reload finds its cursor, by this name. Without it neither. */
  user?: string;
  /** Where to go on from, instead of where this browser left off. */
  cursor?: string;
  /** How the stream is opened: with the cookie that sign-in sets, or with the token in the address (never logged by the edge). */
  tokenIn?: "cookie" | "url";
}

/** Runs what the page has asked for. A page that throws must not take the protocol with it: the browser reports it. */
export function safely(told: () => void): void {
  try {
    told();
  } catch (error) {
    reportError(error);
  }
}
