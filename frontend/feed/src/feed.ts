/** The client's end of a feed: one stream per browser, which resumes where it was and never dies in silence. */

import { Connection, type ConnectionOptions, type Phase } from "./connection";
import { FACTS, type FeedEvent, type Frame, type Gap, type Snapshot } from "./events";
import { forgetCursor, keepCursor, keptCursor } from "./kept";
import { type Message, Tabs } from "./tabs";

const REMEMBERED = 2_000; // event ids; repeats come only from what was last in flight
const RECENT = 200; // frames that a tab gets from the one that leads; whoever has missed more asks the server
const CHECKED_EVERY = 5_000; // ms
const LEADER_SILENT = 40_000; // ms; heartbeats come every 15 s
const ON_WINDOW = ["online", "offline", "pageshow", "pagehide"];
const ON_DOCUMENT = ["visibilitychange", "freeze", "resume"];

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
  /** Whose feed it is, in a form of your own: tabs share a stream, and a reload finds its cursor, by this name. */
  user?: string;
  /** Where to go on from, instead of where this browser left off. */
  cursor?: string;
  /** How the stream is opened: with the cookie that sign-in sets, or with the token in the address (never logged by the edge). */
  tokenIn?: "cookie" | "url";
}

/**
 * Every event since the cursor reaches `onEvent` once, in the server's order; where that cannot be had, `onGap` and
 * then `onSnapshot` are called. It comes back after every failure until `close`, or until the session has ended.
 */
export class Feed {
  readonly #url: string;
  readonly #on: FeedOptions;
  readonly #seen = new Set<string>();
  readonly #recent: Frame[] = [];
  readonly #tabs: Tabs;
  readonly #checks = setInterval(() => this.#check(), CHECKED_EVERY);
  #connection: Connection | undefined;
  #phase: Phase = { phase: "connecting" };
  #cursor: string;
  #heard = Date.now(); // from the leader
  #joined = false; // nothing that it said is missing here
  #began = false; // the cursor is that of a frame
  #asked = false;
  #ended = false;

  constructor(url: string, options: FeedOptions) {
    this.#url = url;
    this.#on = options;
    this.#cursor = options.cursor ?? keptCursor(options.user);
    for (const name of ON_WINDOW) window.addEventListener(name, this);
    for (const name of ON_DOCUMENT) document.addEventListener(name, this);
    this.#tabs = new Tabs(`feed ${url} ${options.user ?? ""}`, {
      lead: () => this.#lead(),
      follow: () => this.#follow(),
      heard: (message) => this.#listen(message),
    });
    this.#tabs.enter();
  }

  /** The place to come back to; empty before the first message that has one. */
  get cursor(): string {
    return this.#cursor;
  }

  /** Tries at once where it waits to come back. In a tab that another one serves it does nothing. */
  wake(): void {
    this.#connection?.wake();
  }

  /** This tab needs it no more. Another tab takes over if this one held the stream. */
  close(): void {
    this.#end("closed");
  }

  /** The session is over: ends the feed in every tab of this browser. */
  signedOut(): void {
    this.#end("signed-out");
  }

  /** The browser's own signs: for `addEventListener`. */
  handleEvent({ type }: Event): void {
    if (type === "freeze") {
      this.#rest();
      this.#tabs.leave();
    } else if (type === "resume") this.#tabs.enter();
    else if (type === "pagehide") this.#keep();
    else if (type === "offline") this.#connection?.lost();
    else if (document.visibilityState !== "hidden") {
      this.#connection?.wake(type === "online");
      this.#check();
    }
  }

  #lead(): void {
    this.#connection?.close();
    this.#connection = this.#connect({ frame: (frame) => this.#frame(frame), phase: (phase) => this.#is(phase) });
    this.#welcome();
  }

  #connect(told: Pick<ConnectionOptions, "frame" | "phase">): Connection {
    return new Connection({
      url: this.#url,
      tokenIn: this.#on.tokenIn ?? "cookie",
      cursor: () => this.#cursor,
      token: () => this.#on.token(),
      ...told,
    });
  }

  #follow(): void {
    this.#rest();
    this.#tabs.say({ say: "join" });
  }

  #rest(): void {
    this.#keep();
    this.#connection?.close();
    this.#connection = undefined;
    this.#joined = false;
    this.#heard = Date.now();
  }

  #welcome(): void {
    this.#tabs.say({ say: "welcome", phase: this.#phase, cursor: this.#cursor, recent: this.#recent });
  }

  #listen(message: Message): void {
    if (message.say === "end") return this.#end("signed-out", false);
    if (this.#tabs.leads) return message.say === "join" ? this.#welcome() : undefined;
    if (message.say === "join") return;
    this.#heard = Date.now();
    this.#asked = false;
    if (message.say === "welcome") return this.#connection ? undefined : this.#join(message);
    if (!this.#joined) return this.#connection ? undefined : this.#tabs.say({ say: "join" });
    if (message.say === "frame") this.#take(message.frame);
    else this.#tell(message.phase, "other");
  }

  /** Goes on where the leader is, from what it remembers. */
  #join({ phase, cursor, recent }: Message & { say: "welcome" }): void {
    const known = recent.findIndex(({ id }) => id === this.#cursor);
    // With a cursor that was given there is a list already, and the leader has had what came since.
    const lacks = !this.#joined && known < 0 && cursor !== this.#cursor && (this.#began || !this.#cursor);
    if (lacks && recent[0]?.event !== "snapshot") return this.#catchUp();
    for (const frame of recent.slice(known + 1)) {
      if (frame.event === "snapshot" ? lacks : !this.#seen.has(String(frame.data.id))) this.#take(frame);
    }
    this.#cursor = cursor || this.#cursor;
    this.#joined = true;
    this.#tell(phase, "other");
  }

  /** The leader no longer remembers what is missing here: a stream of our own brings it, then we follow. */
  #catchUp(): void {
    const connection = this.#connect({
      frame: (frame) => this.#take(frame),
      phase: (phase) => {
        if (phase.phase === "ended") return this.#end("signed-out");
        this.#tell(phase, "this");
        if (phase.phase !== "live") return;
        connection.close();
        this.#connection = undefined;
        this.#joined = true;
        this.#tabs.say({ say: "join" });
      },
    });
    this.#connection = connection;
  }

  /** Whoever leads answers a `join` at once, even in the background. One that does not is frozen or gone. */
  #check(): void {
    if (this.#ended || this.#tabs.leads || Date.now() - this.#heard < LEADER_SILENT) return;
    if (this.#asked) this.#tabs.steal();
    else this.#tabs.say({ say: "join" });
    this.#asked = !this.#asked;
  }

  #frame(frame: Frame): void {
    this.#take(frame);
    this.#tabs.say({ say: "frame", frame });
    if (frame.event === "heartbeat") this.#keep();
  }

  #take(frame: Frame): void {
    const { event, id, data } = frame;
    this.#on.onFrame?.(frame);
    if (event === "gap") this.#on.onGap?.(data as Gap);
    else if (event === "snapshot") this.#snapshot(data as Snapshot);
    else if (FACTS.includes(event) && this.#isNew(data as FeedEvent)) this.#on.onEvent(data as FeedEvent);
    if (event === "snapshot") this.#recent.length = 0; // nobody can go on from before it
    if (id || FACTS.includes(event)) this.#recent.push(frame);
    if (this.#recent.length > RECENT) this.#recent.shift();
    if (id) [this.#cursor, this.#began] = [id, true];
  }

  #snapshot({ items = [], next = null }: Snapshot): void {
    if (!this.#on.onSnapshot) return [...items].reverse().forEach((item) => this.#isNew(item) && this.#on.onEvent(item));
    this.#seen.clear(); // what the new list lacks may come again, and is new to it
    for (const event of items) this.#isNew(event);
    this.#on.onSnapshot({ items, next });
  }

  #isNew({ id }: FeedEvent): boolean {
    if (!id || this.#seen.has(id)) return false;
    this.#seen.add(id);
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.values().next().value as string);
    return true;
  }

  #is(phase: Phase): void {
    if (phase.phase === "ended") return this.#end("signed-out");
    this.#tell(phase, "this");
    this.#tabs.say({ say: "phase", phase });
  }

  #tell(phase: Phase, tab: State["tab"]): void {
    this.#phase = phase;
    this.#on.onState?.({ ...phase, tab });
  }

  #keep(): void {
    if (this.#tabs.leads) keepCursor(this.#on.user, this.#cursor);
  }

  #end(reason: "signed-out" | "closed", tell = true): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#checks);
    for (const name of ON_WINDOW) window.removeEventListener(name, this);
    for (const name of ON_DOCUMENT) document.removeEventListener(name, this);
    this.#rest();
    if (reason === "signed-out") {
      forgetCursor(this.#on.user);
      if (tell) this.#tabs.say({ say: "end" });
    }
    this.#tabs.close();
    this.#tell({ phase: "ended", reason }, "this");
  }
}
