import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { State } from "../src";
import { cursorOf, HELD_BACK, HELLO, open, opened, pass, post, socket, source } from "./opening";
import { FakeEventSource, FakeWebSocket, install, reported, uninstall } from "./server";

/** Refuses the stream opened last, and lets the wait for the next one pass. */
async function refuse(states: State[]): Promise<void> {
  source().refuse();
  await pass(0);
  const state = states.at(-1);
  if (state?.phase === "waiting") await pass(state.ms);
}

beforeEach(install);
afterEach(uninstall);

describe("while all is well", () => {
  test("the first connection has no cursor, and a snapshot comes before events", () => {
    const { events, snapshots, states } = open();
    source().say("hello", HELLO);
    source().say("snapshot", { items: [post("a")], next: null }, "c1");
    source().say("post", post("b"), "c2");

    expect(source().url).toBe("https://feed.example/v1/stream");
    expect(snapshots).toEqual([["a"]]);
    expect(events).toEqual(["b"]);
    expect(states.at(-1)).toMatchObject({ phase: "catching-up", by: "sse", node: "stream-1", resumed: false });
  });

  test("the cursor is the id of the last message, heartbeats among them", () => {
    const { feed } = open();
    source().say("hello", HELLO);
    source().say("post", post("a"), "c1");
    source().say("heartbeat", { at: "…" }, "c2");

    expect(feed.cursor).toBe("c2");
  });

  test("an event that came before is dropped", () => {
    const { events } = open();
    source().say("hello", HELLO);
    source().say("snapshot", { items: [post("a")], next: null }, "c1");
    for (const id of ["a", "b", "b", "c"]) source().say("post", post(id), "c2");

    expect(events).toEqual(["b", "c"]);
  });

  test("what no snapshot holds is shown again although it came before", () => {
    const { events } = open();
    source().say("hello", HELLO);
    source().say("post", post("a"), "c1");
    source().say("gap", { reason: "too-old" });
    source().say("snapshot", { items: [], next: null }, "c0");
    source().say("post", post("a"), "c1");

    expect(events).toEqual(["a", "a"]);
  });

  test("a message that is no JSON, or no event, is passed over", () => {
    const { events, states } = open();
    source().say("hello", HELLO);
    source().say("post", "{not json", "c1");
    source().say("post", "null", "c2");
    source().say("post", post("a"), "c3");

    expect(events).toEqual(["a"]);
    expect(states.at(-1)?.phase).toBe("catching-up");
  });

  test("a gap is told before the snapshot that mends it", () => {
    const { gaps, snapshots } = open();
    source().say("hello", HELLO);
    source().say("gap", { reason: "too-old" });
    expect(gaps).toEqual(["too-old"]);
    source().say("snapshot", { items: [post("z")], next: null }, "c9");

    expect(snapshots).toEqual([["z"]]);
  });
});

describe("a page that throws", () => {
  test("at whatever it is told gets the rest all the same, and its browser hears of it", async () => {
    const fault = new Error("a page's own fault");
    const throwing = () => {
      throw fault;
    };
    const all = { onEvent: throwing, onSnapshot: throwing, onGap: throwing, onState: throwing, onFrame: throwing };
    const { feed, renew } = open("newer", { ...all, user: "4" });
    const other = open("newer", { user: "4" });
    source().say("hello", HELLO);
    source().say("gap", { reason: "too-old" });
    source().say("snapshot", { items: [post("z")], next: null }, "c0");
    source().say("post", post("a"), "c1");
    source().say("expiring", { expires_at: 1 });
    source().say("bye", { reason: "expired", retry: 1 });
    await pass(20_000);

    expect([other.gaps, other.snapshots, other.events]).toEqual([["too-old"], [["z"]], ["a"]]);
    expect([feed.cursor, renew.mock.calls.length]).toEqual(["c1", 2]);
    expect(cursorOf(source().url)).toBe("c1");
    expect(new Set(reported)).toEqual(new Set([fault]));
  });
});

describe("when a stream breaks", () => {
  test("the browser comes back by itself, and no second stream is opened beside it", async () => {
    const { states } = open();
    source().say("hello", HELLO);
    source().break();
    await pass(10_000);
    expect(states.at(-1)).toMatchObject({ phase: "connecting" });
    source().say("hello", { ...HELLO, resumed: true });

    expect(opened()).toBe(1);
    await pass(300);
    expect(states.at(-1)).toMatchObject({ phase: "live", resumed: true });
  });

  test("a browser that does not come back is replaced", async () => {
    open();
    source().say("hello", HELLO);
    source().say("post", post("a"), "c1");
    source().break();
    await pass(17_000);

    expect(opened()).toBe(2);
    expect(cursorOf(source().url)).toBe("c1");
  });

  test("silence of two and a half heartbeats reconnects with the cursor, and not a moment before", async () => {
    open();
    source().say("hello", { ...HELLO, heartbeat: 4 });
    source().say("post", post("a"), "c1");
    await pass(9_900);
    expect(opened()).toBe(1);
    await pass(5_200); // it looks every five seconds

    expect(opened()).toBe(2);
    expect(cursorOf(source().url)).toBe("c1");
    expect(FakeEventSource.all[0]?.readyState).toBe(FakeEventSource.CLOSED);
  });

  test("heartbeats keep a quiet stream open", async () => {
    open();
    source().say("hello", HELLO);
    for (let n = 0; n < 20; n++) {
      await pass(15_000);
      source().say("heartbeat", { at: "…" }, `c${n}`);
    }

    expect(opened()).toBe(1);
  });
});

describe("when a stream is refused", () => {
  test("a new token is asked for first, and opens a new stream at once", async () => {
    const { renew } = open();
    source().refuse();
    await pass(0);

    expect(renew).toHaveBeenCalledOnce();
    expect(opened()).toBe(2);
  });

  test("it backs off further each time, with jitter, and asks for a token only now and then", async () => {
    const { renew, states } = open();
    for (let n = 0; n < 7; n++) {
      await refuse(states);
    }

    const waits = states.flatMap((state) => (state.phase === "waiting" ? [state.ms] : []));
    expect(waits).toEqual([1_100, 2_100, 4_100, 8_100, 15_100, 15_100]); // half of 2, 4, 8, 16, 30 s: the fake dice
    expect(renew).toHaveBeenCalledTimes(2);
  });

  test("the wait stays within its ceiling however often it fails", async () => {
    const { states } = open("?");
    vi.mocked(Math.random).mockReturnValue(1);
    for (let n = 0; n < 40; n++) {
      await refuse(states);
    }

    const waits = states.flatMap((state) => (state.phase === "waiting" ? [state.ms] : []));
    expect(waits.length).toBe(40);
    expect(Math.max(...waits)).toBeLessThanOrEqual(30_100);
  });

  test("a session that is over ends the feed", async () => {
    const { states } = open(null);
    source().refuse();
    await pass(120_000);

    expect(states.at(-1)).toMatchObject({ phase: "ended", reason: "signed-out" });
    expect(opened()).toBe(1);
  });

  test.each([
    ["a session that is over", null, 1, "ended"],
    ["a token that has ended", "newer", 2, "connecting"],
  ])("a browser that came back by itself and was answered 401 stays away, which is found out: %s", async (_, token, streams, phase) => {
    const { renew, states } = open(token);
    source().say("hello", HELLO);
    await pass(300);
    source().break();
    await pass(1_000);
    source().refuse();
    await pass(0);

    expect(renew).toHaveBeenCalledOnce();
    expect([opened(), states.at(-1)?.phase]).toEqual([streams, phase]);
  });

  test("an unreachable server does not end it", async () => {
    const { states } = open("?");
    source().refuse();
    await pass(2_000);
    expect(opened()).toBe(2);
    source().say("hello", HELLO);
    await pass(300);

    expect(states.at(-1)?.phase).toBe("live");
  });
});

describe("when the server says bye", () => {
  test("expired: a new token, then back with the cursor", async () => {
    const { renew } = open();
    source().say("hello", HELLO);
    source().say("post", post("a"), "c1");
    source().say("bye", { reason: "expired", retry: 3000 });
    await pass(0);

    expect(renew).toHaveBeenCalledOnce();
    expect(cursorOf(source().url)).toBe("c1");
  });

  test("expired again and again, as for a clock that is wrong: tokens are asked for in peace", async () => {
    const { renew, states } = open();
    for (let n = 0; n < 29; n++) {
      source().say("hello", HELLO);
      source().say("bye", { reason: "expired", retry: 3000 });
      await pass(1_000);
    }

    expect(renew.mock.calls.length).toBe(3); // the first at once
    expect(states.at(-1)).toMatchObject({ phase: "waiting", reason: "expired" });
  });

  test("signed-out: for good", async () => {
    const { renew, states } = open();
    source().say("hello", HELLO);
    source().say("bye", { reason: "signed-out", retry: 3000 });
    await pass(120_000);

    expect(states.at(-1)).toMatchObject({ phase: "ended", reason: "signed-out" });
    expect([opened(), renew.mock.calls.length]).toEqual([1, 0]);
  });

  const others = ["drain", "rotate", "slow", "too-many"];
  test.each(others)("%s: back after the time it asked for, and some jitter", async (reason) => {
    open();
    source().say("hello", HELLO);
    source().say("bye", { reason, retry: 4000 });
    await pass(4_900);
    expect(opened()).toBe(1);
    await pass(200);

    expect(opened()).toBe(2);
  });
});

describe("when a proxy holds SSE back", () => {
  test("the second time without hello it takes WebSocket, with the cookie and the cursor", async () => {
    const { events, states, feed } = open();
    await pass(5_500);
    expect(opened()).toBe(1);
    await pass(100); // 600 ms after the first gave up, by the fake dice
    expect([opened(), FakeWebSocket.all.length]).toEqual([2, 0]);
    await pass(9_000);
    expect(FakeWebSocket.all.length).toBe(0);
    await pass(2_200);
    socket().say("hello", HELLO);
    socket().say("post", post("a"), "c1");
    await pass(300);

    expect([socket().url, socket().protocols]).toEqual(["wss://feed.example/v1/ws", ["feed.v1"]]);
    expect(states.at(-1)).toMatchObject({ phase: "live", by: "ws" });
    expect(events).toEqual(["a"]);
    expect(feed.cursor).toBe("c1");
    expect(FakeEventSource.all.every((one) => one.readyState === FakeEventSource.CLOSED)).toBe(true);
  });

  test("a slow server gets more time at each try, and is not taken for such a proxy at the first", async () => {
    const { states } = open();
    await pass(12_000);
    source().say("hello", HELLO);
    await pass(300);

    expect(states.at(-1)).toMatchObject({ phase: "live", by: "sse" });
    expect([opened(), FakeWebSocket.all.length]).toEqual([2, 0]);
  });

  test("a WebSocket that breaks is opened again as one, with the cursor", async () => {
    open();
    await pass(HELD_BACK);
    socket().say("hello", HELLO);
    socket().say("post", post("a"), "c1");
    socket().close();
    await pass(3_000);

    expect([opened(), FakeWebSocket.all.length]).toEqual([2, 2]);
    expect(cursorOf(socket().url)).toBe("c1");
  });

  test("where WebSocket is refused too, it starts again with SSE", async () => {
    open();
    await pass(HELD_BACK);
    socket().close();
    await pass(10_000);

    expect(opened()).toBeGreaterThan(2);
  });
});

describe("after close", () => {
  test("nothing is opened and nothing is told any more", async () => {
    const { feed, events, states } = open();
    source().say("hello", HELLO);
    feed.close();
    source().say("post", post("a"), "c1");
    await pass(600_000);

    expect(opened()).toBe(1);
    expect(events).toEqual([]);
    expect(states.at(-1)).toMatchObject({ phase: "ended", reason: "closed" });
  });

  test("a token that arrives late opens nothing", async () => {
    const { feed } = open();
    source().refuse();
    feed.close();
    await pass(60_000);

    expect(opened()).toBe(1);
  });
});
