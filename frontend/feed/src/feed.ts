/** The client's end of a feed: one stream per browser, which resumes where it was and never dies in silence. */

import { Connection, type ConnectionOptions, type Phase } from "./connection.js";
import { Elapsed } from "./elapsed.js";
import type { Frame } from "./events.js";
import { Intake } from "./intake.js";
import { forgetCursor, keepCursor, keptCursor } from "./kept.js";
import { type FeedOptions, safely, type State } from "./options.js";
import { type Message, Tabs } from "./tabs.js";

const CHECKED_EVERY = 5_000; // ms
const LEADER_SILENT = 40_000; // ms; heartbeats come every 15 s
const JOINED_WITHIN = 2_000; // ms; two tabs that change places may both miss what the other says
const ON_WINDOW = ["online", "offline", "pageshow", "pagehide"];
const ON_DOCUMENT = ["visibilitychange", "freeze", "resume"];

/**
 * Every event since the cursor reaches `onEvent` once, in the server's order; where that cannot be had, `onGap` and
 * then `onSnapshot` are called. It comes back after every failure until `close`, or until the session has ended.
 */
export class Feed {
  readonly #url: string;
  readonly #on: FeedOptions;
  readonly #intake: Intake;
  readonly #tabs: Tabs;
  readonly #checks = setInterval(() => this.#check(), CHECKED_EVERY);
  #connection: Connection | undefined;
  #phase: Phase = { phase: "connecting" };
  readonly #heard = new Elapsed(); // from the leader
  #joined = false; // nothing that it said is missing here
  #caughtUp: string | undefined; // where the leader was when a stream of our own began to bring what was missing until then
  #joining = false; // it has been asked for what is missing
  #doubted = false; // it has been asked whether it is still there
  #ended = false;

  constructor(url: string, options: FeedOptions) {
    this.#url = url;
    this.#on = options;
    this.#intake = new Intake(options, options.cursor ?? keptCursor(options.user));
    for (const name of ON_WINDOW) window.addEventListener(name, this);
    for (const name of ON_DOCUMENT) document.addEventListener(name, this);
    // Without a name two tabs may be two people's, and neither may get the other's feed.
    this.#tabs = new Tabs(options.user && `feed ${url} ${options.user}`, {
      lead: () => this.#lead(),
      follow: () => this.#follow(),
      heard: (message) => this.#listen(message),
    });
    this.#enter();
  }

  /** The place to come back to; empty before the first message that has one. */
  get cursor(): string {
    return this.#intake.cursor;
  }

  /** Tries at once where it waits to come back, in whichever tab that is. */
  wake(): void {
    this.#connection?.wake();
    this.#tabs.say({ say: "wake" });
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
    } else if (type === "resume") this.#enter();
    else if (type === "pagehide") this.#keep();
    else if (type === "offline") this.#connection?.lost();
    else if (document.visibilityState !== "hidden") {
      this.#connection?.wake(type === "online");
      this.#tabs.say({ say: "wake" }); // a leader that is hidden gets no sign of its own
      this.#check();
    }
  }

  #enter(): void {
    this.#tabs.enter();
    this.#askToJoin();
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
      cursor: () => this.#intake.cursor,
      token: () => this.#on.token(),
      ...told,
    });
  }

  #follow(): void {
    this.#rest();
    this.#askToJoin();
  }

  #rest(): void {
    this.#keep();
    this.#connection?.close();
    this.#connection = undefined;
    this.#joined = this.#joining = false;
    this.#caughtUp = undefined;
    this.#heard.restart();
  }

  #welcome(): void {
    const { from, recent, cursor } = this.#intake;
    this.#tabs.say({ say: "welcome", phase: this.#phase, from, recent, cursor });
  }

  /** One question at a time: a tab that wakes may hear a thousand old messages, and each answer is long. */
  #askToJoin(): void {
    if (this.#tabs.leads || this.#joining) return;
    this.#joining = true;
    setTimeout(() => (this.#joining = false), JOINED_WITHIN);
    this.#tabs.say({ say: "join" });
  }

  #listen(message: Message): void {
    if (message.say === "end") return this.#end("signed-out", false);
    if (this.#tabs.leads) {
      if (message.say === "join") this.#welcome();
      else if (message.say === "wake") this.#connection?.wake();
      return;
    }
    if (message.say === "join" || message.say === "wake") return;
    this.#heard.restart();
    this.#doubted = false;
    if (message.say === "welcome") return this.#join(message);
    if (!this.#joined) return this.#connection ? undefined : this.#askToJoin();
    if (message.say === "frame") this.#intake.take(message.frame);
    else this.#tell(message.phase, "other");
  }

  #join({ phase, ...leader }: Message & { say: "welcome" }): void {
    this.#joining = false;
    if (this.#connection) return;
    const place = this.#caughtUp ?? this.cursor;
    this.#caughtUp = undefined;
    this.#joined = this.#intake.join(leader, place);
    if (this.#joined) this.#tell(phase, "other");
    else this.#catchUp(leader.cursor);
  }

  /** Nobody can see that the leader has said all that is missing here: a stream of our own brings it, then we follow. */
  #catchUp(until: string): void {
    const connection = this.#connect({
      frame: (frame) => this.#intake.take(frame),
      phase: (phase) => {
        if (phase.phase === "ended") return this.#end("signed-out");
        this.#tell(phase, "this");
        if (phase.phase !== "live") return;
        connection.close();
        this.#connection = undefined;
        this.#caughtUp = until;
        this.#askToJoin();
      },
    });
    this.#connection = connection;
  }

  /** Whoever leads answers a `join` at once, even in the background. One that does not is frozen or gone. */
  #check(): void {
    if (this.#ended || this.#tabs.leads || this.#heard.ms < LEADER_SILENT) return;
    if (this.#doubted) this.#tabs.steal();
    else this.#tabs.say({ say: "join" });
    this.#doubted = !this.#doubted;
  }

  #frame(frame: Frame): void {
    this.#intake.take(frame);
    this.#tabs.say({ say: "frame", frame });
    if (frame.event === "heartbeat") this.#keep();
  }

  #is(phase: Phase): void {
    if (phase.phase === "ended") return this.#end("signed-out");
    this.#tell(phase, "this");
    this.#tabs.say({ say: "phase", phase });
  }

  #tell(phase: Phase, tab: State["tab"]): void {
    this.#phase = phase;
    safely(() => this.#on.onState?.({ ...phase, tab }));
  }

  #keep(): void {
    if (this.#tabs.leads) keepCursor(this.#on.user, this.cursor);
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
