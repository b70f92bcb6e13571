/** The tabs of one browser: one of them leads, by a lock of the browser's, and the others listen to it. */

import type { Phase } from "./connection";
import type { Frame } from "./events";

export type Message =
  /** Somebody listens: whoever leads answers with a welcome. */
  | { say: "join" }
  | { say: "welcome"; phase: Phase; cursor: string; recent: Frame[] }
  | { say: "frame"; frame: Frame }
  | { say: "phase"; phase: Phase }
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
  readonly #channel: BroadcastChannel | undefined;
  #free: (() => void) | undefined;
  #queued: AbortController | undefined;

  constructor(name: string, role: Role) {
    this.#name = name;
    this.#role = role;
    // Locks exist only where the page came over TLS or from this machine; elsewhere each tab is alone, and leads.
    if (!navigator.locks) return;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => role.heard(data);
  }

  /** Leads as soon as nobody else does, and until then listens. */
  enter(): void {
    if (this.#queued || this.leads) return;
    if (!this.#channel) return this.#lead();
    this.say({ say: "join" });
    this.#queue();
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
    navigator.locks.request(this.#name, options, held).catch(() => {
      if (queued.signal.aborted) return;
      // Stolen: this tab did not answer for a while.
      this.leads = false;
      this.#role.follow();
      this.#queue();
    });
  }
}
