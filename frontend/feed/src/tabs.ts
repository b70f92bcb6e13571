/** The tabs of one browser: one of them leads, by a lock of the browser's, and the others listen to it. */

import type { Phase } from "./connection.js";
import type { Frame } from "./events.js";
import type { Chain } from "./intake.js";

export type Message =
  /** Somebody listens: whoever leads answers with a welcome. */
  | { say: "join" }
  | ({ say: "welcome"; phase: Phase } & Chain)
  | { say: "frame"; frame: Frame }
  | { say: "phase"; phase: Phase }
  /** A tab is looked at: the stream had better not be a dead one. */
  | { say: "wake" }
  /** The session is over, for all. */
  | { say: "end" };

export interface Role {
  lead(): void;
  follow(): void;
  heard(message: Message): void;
}

export class Tabs {
  leads = false;
  readonly #name: string;
  readonly #role: Role;
  #channel: BroadcastChannel | undefined;
  #free: (() => void) | undefined;
  #queued: AbortController | undefined;

  /** Without a name the tab is alone, and leads. */
  constructor(name: string | undefined, role: Role) {
    this.#name = name ?? "";
    this.#role = role;
    // Locks exist only where the page came over TLS or from this machine; elsewhere each tab is alone too.
    if (!name || !navigator.locks) return;
    try {
      this.#channel = new BroadcastChannel(name);
    } catch {
      return; // a browser that keeps nothing for this page has no channels for it either
    }
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => role.heard(data);
  }

  /** Leads as soon as nobody else does, and until then listens. */
  enter(): void {
    if (this.#queued || this.leads) return;
    if (this.#channel) this.#queue();
    else this.#lead();
  }

  /** Takes over from a leader that no longer answers. */
  steal(): void {
    this.#queued?.abort();
    this.#queue(true);
  }

  say(message: Message): void {
    this.#channel?.postMessage(message);
  }

  /** Lets another tab lead. */
  leave(): void {
    this.leads = false;
    this.#queued?.abort();
    this.#queued = undefined;
    this.#free?.();
    this.#free = undefined;
  }

  close(): void {
    this.leave();
    this.#channel?.close();
    this.#channel = undefined;
  }

  #lead(): void {
    this.leads = true;
    this.#role.lead();
  }

  #queue(steal = false): void {
    const queued = (this.#queued = new AbortController());
    const held = () => {
      if (queued.signal.aborted) return Promise.resolve();
      this.#lead();
      return new Promise<void>((free) => (this.#free = free));
    };
    const options = steal ? { steal } : { signal: queued.signal };
    navigator.locks.request(this.#name, options, held).catch((refusal: Error) => {
      if (queued.signal.aborted) return;
      if (refusal.name !== "AbortError") return this.#alone();
      // Stolen: this tab did not answer for a while.
      this.leads = false;
      this.#role.follow();
      this.#queue();
    });
  }

  /** A browser that denies the lock would deny it again. */
  #alone(): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.#lead();
  }
}
