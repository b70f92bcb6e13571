import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { cursorOf, HELLO, open, opened, pass, post, source } from "./opening";
import { FakeChannel, FakeEventSource, FakeLocks, install, uninstall } from "./server";

beforeEach(install);
afterEach(uninstall);

const streaming = () => FakeEventSource.all.filter((one) => one.readyState !== FakeEventSource.CLOSED).length;

/** So many tabs of one browser; the first one holds the stream, and is live. */
async function tabs(count: number, options = {}) {
  const all = Array.from({ length: count }, () => open("newer", { user: "4", ...options }));
  source().say("hello", HELLO);
  source().say("snapshot", { items: [post("old")], next: null }, "c0");
  source().say("post", post("a"), "c1");
  await pass(300);
  return all as [(typeof all)[0], (typeof all)[0], (typeof all)[0]];
}

describe("three tabs", () => {
  test("share one stream, and each shows every event once", async () => {
    const all = await tabs(3);

    expect(opened()).toBe(1);
    expect(all.map(({ events }) => events)).toEqual([["a"], ["a"], ["a"]]);
    expect(all.map(({ snapshots }) => snapshots)).toEqual([[["old"]], [["old"]], [["old"]]]);
    expect(all.map(({ states }) => states.at(-1)?.tab)).toEqual(["this", "other", "other"]);
    expect(all.map(({ states }) => states.at(-1)?.phase)).toEqual(["live", "live", "live"]);
  });

  test("when the one that leads is closed, another takes over with the cursor and nothing comes twice", async () => {
    const [first, second, third] = await tabs(3);
    first.feed.close();
    await pass(0);
    expect(cursorOf(source().url)).toBe("c1");
    source().say("hello", { ...HELLO, resumed: true });
    for (const id of ["a", "b"]) source().say("post", post(id), `c-${id}`);

    expect(streaming()).toBe(1);
    expect([second.events, third.events]).toEqual([
      ["a", "b"],
      ["a", "b"],
    ]);
  });

  test("a sign-out in one ends all, and nothing is opened after it", async () => {
    const [first, second, third] = await tabs(3);
    second.feed.signedOut();
    await pass(120_000);

    for (const { states } of [first, second, third]) {
      expect(states.at(-1)).toMatchObject({ phase: "ended", reason: "signed-out" });
    }
    expect(opened()).toBe(1);
  });

  test("the server's word that the session is over ends all", async () => {
    const all = await tabs(3);
    source().say("bye", { reason: "signed-out", retry: 1 });
    await pass(120_000);

    expect(all.map(({ states }) => states.at(-1)?.phase)).toEqual(["ended", "ended", "ended"]);
    expect(opened()).toBe(1);
  });

  test("a 401 behind which no session stands any more ends all, whichever stream gets it", async () => {
    const leader = open("newer", { user: "4", cursor: "c1" });
    source().say("hello", HELLO);
    const behind = open(null, { user: "4", cursor: "older" });
    source().refuse(); // the short stream of the tab that is behind
    await pass(120_000);

    expect([leader, behind].map(({ states }) => states.at(-1)?.phase)).toEqual(["ended", "ended"]);
    expect(opened()).toBe(2);
  });

  test("another person's tab has a stream of its own", async () => {
    await tabs(2);
    open("newer", { user: "5" });

    expect(opened()).toBe(2);
  });
});

describe("a tab that comes later", () => {
  test("gets the list, and what came since", async () => {
    await tabs(1);
    const late = open("newer", { user: "4" });
    await pass(0);

    expect(late.snapshots).toEqual([["old"]]);
    expect(late.events).toEqual(["a"]);
    expect(opened()).toBe(1);
  });

  const known = { "where the leader began": "of the list", "after something that the leader has said": "c1" };
  test.each(Object.entries(known))("with a list from %s keeps it, and gets what came since", async (_, cursor) => {
    open("newer", { user: "4", cursor: "of the list" });
    source().say("hello", HELLO);
    source().say("post", post("a"), "c1");
    source().say("post", post("b"), "c2");
    for (let n = 0; n < 250; n++) source().say("heartbeat", { at: 0 }, `h${n}`);
    const late = open("newer", { user: "4", cursor });
    await pass(0);

    expect([late.snapshots, late.events, opened()]).toEqual([[], cursor === "c1" ? ["b"] : ["a", "b"], 1]);
    expect(late.feed.cursor).toBe("h249");
  });

  test("with a list that the leader knows nothing of asks the server for what may lie between the two", async () => {
    const leader = open("newer", { user: "4", cursor: "newer list" });
    const leading = source();
    leading.say("hello", { ...HELLO, resumed: true });
    await pass(300);
    const late = open("newer", { user: "4", cursor: "older list" });
    expect([opened(), cursorOf(source().url)]).toEqual([2, "older list"]);
    source().say("hello", { ...HELLO, resumed: true });
    source().say("post", post("between"), "c1");
    await pass(300);
    leading.say("post", post("after"), "c2");

    expect([leader.events, late.events]).toEqual([["after"], ["between", "after"]]);
    expect(streaming()).toBe(1);
    expect(late.states.at(-1)).toMatchObject({ phase: "live", tab: "other" });
  });

  test("with such a list asks once, whoever comes after it", async () => {
    open("newer", { user: "4", cursor: "newer list" });
    source().say("hello", HELLO);
    const late = open("newer", { user: "4", cursor: "older list" });
    source().say("hello", HELLO);
    await pass(300);
    open("newer", { user: "4", cursor: "newer list" }); // which all are welcomed again for
    await pass(10_000);

    expect([opened(), streaming(), late.feed.cursor]).toEqual([2, 1, "newer list"]);
  });

  test("with such a list asks again where the leader has said more meanwhile than it remembers", async () => {
    open("newer", { user: "4", cursor: "newer list" });
    const leading = source();
    leading.say("hello", HELLO);
    const late = open("newer", { user: "4", cursor: "older list" });
    const own = source();
    for (let n = 0; n < 202; n++) leading.say("post", post(`p${n}`), `c${n}`);
    own.say("hello", HELLO);
    own.say("post", post("p0"), "c0"); // of a node that is slow
    await pass(300);
    expect([opened(), cursorOf(source().url)]).toEqual([3, "c0"]);
    source().say("hello", HELLO);
    for (let n = 1; n < 202; n++) source().say("post", post(`p${n}`), `c${n}`);
    await pass(300);

    expect(late.events).toEqual(Array.from({ length: 202 }, (_, n) => `p${n}`));
    expect(streaming()).toBe(1);
  });

  test("is not told of a place that a frame without one only seems to have", async () => {
    open("newer", { user: "4", cursor: "c0" });
    source().say("hello", HELLO);
    source().say("post", post("a"), "c1");
    source().say("post", post("early")); // without an id: EventSource repeats the last one
    for (let n = 0; n < 199; n++) source().say("post", post(`p${n}`), `d${n}`);
    expect(open("newer", { user: "4", cursor: "c1" }).events.slice(0, 2)).toEqual(["early", "p0"]);
    source().say("post", post("more"), "d199");
    open("newer", { user: "4", cursor: "c1" });

    expect(opened()).toBe(2); // `early` is forgotten: nobody goes on from c1 any more
  });

  const behind = {
    "where the leader no longer has what came since": () => {
      for (let n = 0; n < 201; n++) source().say("post", post(`p${n}`), `c-p${n}`);
    },
    "where the leader has had a list that may be newer": () => {
      source().say("snapshot", { items: [post("p1")], next: null }, "c-p1");
    },
  };
  test.each(Object.entries(behind))("with a list of an archive that lags asks the server, %s", async (_, happens) => {
    open("newer", { user: "4", cursor: "of the first list" });
    source().say("hello", HELLO);
    happens();
    const leading = source();
    const late = open("newer", { user: "4", cursor: "of an old list" });
    await pass(0);
    expect([opened(), cursorOf(source().url)]).toEqual([2, "of an old list"]);
    source().say("hello", { ...HELLO, resumed: true });
    source().say("post", post("p0"), "c0");
    source().say("post", post("p1"), "c1");
    await pass(300);
    leading.say("post", post("b"), "c9");

    expect(streaming()).toBe(1);
    expect(late.events.slice(0, 2)).toEqual(["p0", "p1"]);
    expect(late.events.at(-1)).toBe("b");
  });

  test("which cannot have the list from the leader asks the server, then shares the stream", async () => {
    await tabs(1);
    const leading = source();
    for (let n = 0; n < 200; n++) leading.say("post", post(`p${n}`), `c-p${n}`);
    const late = open("newer", { user: "4" });
    await pass(0);
    expect([opened(), cursorOf(source().url)]).toEqual([2, null]);
    source().say("hello", HELLO);
    source().say("snapshot", { items: [post("p199")], next: null }, "c9");
    leading.say("post", post("b"), "c10"); // while it catches up
    await pass(300);
    leading.say("post", post("c"), "c11");

    expect(streaming()).toBe(1);
    expect(late.snapshots).toEqual([["p199"]]);
    expect(late.events.slice(-2)).toEqual(["b", "c"]);
  });
});

describe("a tab that slept", () => {
  /** All tabs there are freeze; what is said to them meanwhile is lost. Returns what wakes them. */
  function freeze(): () => void {
    const deaf = FakeChannel.all;
    document.dispatchEvent(new Event("freeze"));
    FakeChannel.all = [];
    return () => {
      FakeChannel.all.push(...deaf);
      document.dispatchEvent(new Event("resume"));
    };
  }

  test("and missed more than the leader remembers gets it from the server, in order, and follows", async () => {
    const [first] = await tabs(1);
    const wake = freeze();
    const other = open("newer", { user: "4", cursor: "c1" });
    await pass(0);
    const leading = source();
    leading.say("hello", HELLO);
    for (let n = 0; n < 300; n++) leading.say("post", post(`p${n}`), `c-p${n}`);
    wake();
    await pass(0);
    expect([opened(), cursorOf(source().url)]).toEqual([3, "c1"]);
    source().say("hello", { ...HELLO, resumed: true });
    for (let n = 0; n < 300; n++) source().say("post", post(`p${n}`), `d-p${n}`);
    leading.say("post", post("p300"), "c-p300");
    await pass(300);
    leading.say("post", post("p301"), "c-p301");

    const whole = Array.from({ length: 302 }, (_, n) => `p${n}`);
    expect(first.events).toEqual(["a", ...whole]);
    expect(other.events).toEqual(whole);
    expect(streaming()).toBe(1);
    expect(first.states.at(-1)).toMatchObject({ phase: "live", tab: "other" });
  });

  test("and missed little gets it from the leader", async () => {
    const [first] = await tabs(1);
    const wake = freeze();
    open("newer", { user: "4", cursor: "c1" });
    await pass(0);
    source().say("hello", HELLO);
    source().say("heartbeat", { at: 0 }, "c1");
    source().say("post", post("b"), "c2");
    wake();
    await pass(0);

    expect(first.events).toEqual(["a", "b"]);
    expect(opened()).toBe(2);
  });

  test("and hears a thousand old messages asks for what it lacks once", async () => {
    const [first] = await tabs(1);
    const wake = freeze();
    open("newer", { user: "4", cursor: "c1" });
    await pass(0);
    const said = vi.spyOn(BroadcastChannel.prototype, "postMessage").mockImplementation(() => {}); // no answer so far
    wake();
    const channel = FakeChannel.all.at(-1); // its own
    for (let n = 0; n < 1_000; n++) channel?.onmessage?.({ data: { say: "phase", phase: { phase: "connecting" } } });
    expect(said.mock.calls.filter(([{ say }]) => say === "join").length).toBe(1);
    said.mockRestore();
    await pass(2_000);
    source().say("hello", HELLO);
    source().say("post", post("b"), "c2");

    expect(first.events).toEqual(["a", "b"]);
  });
});

describe("a tab that is looked at", () => {
  test("makes a hidden leader see whether its stream is a dead one", async () => {
    const [first] = await tabs(1);
    open("newer", { user: "4" });
    await pass(0);
    vi.setSystemTime(Date.now() + 20_000);
    first.feed.handleEvent = () => {}; // it is hidden, and gets no sign
    document.dispatchEvent(new Event("visibilitychange"));

    expect(opened()).toBe(2);
    expect(cursorOf(source().url)).toBe("c1");
  });
});

describe("a leader that is stuck", () => {
  test("is asked, then replaced; and follows when it is back", async () => {
    const [first, second] = await tabs(2);
    // Its messages no longer reach anybody.
    const channel = vi.spyOn(BroadcastChannel.prototype, "postMessage").mockImplementation(() => {});
    await pass(50_000);
    channel.mockRestore();
    await pass(2_000);
    source().say("hello", { ...HELLO, resumed: true });
    source().say("post", post("b"), "c2");

    expect(cursorOf(source().url)).toBe("c1");
    expect(streaming()).toBe(1);
    expect(second.states.at(-1)?.tab).toBe("this");
    expect(first.states.at(-1)?.tab).toBe("other");
    expect(second.events).toEqual(["a", "b"]);
  });

  test("is replaced as soon where the clock was put back an hour meanwhile", async () => {
    const [, second] = await tabs(2);
    const channel = vi.spyOn(BroadcastChannel.prototype, "postMessage").mockImplementation(() => {});
    vi.setSystemTime(Date.now() - 3_600_000);
    await pass(50_000);
    channel.mockRestore();

    expect(second.states.at(-1)?.tab).toBe("this");
  });

  test("is left alone while it answers, however quiet it is", async () => {
    await tabs(2);
    for (let n = 0; n < 20; n++) {
      await pass(15_000);
      source().say("heartbeat", { at: 0 }, `c${n}`);
    }
    source().break();
    await pass(10_000);

    expect(opened()).toBe(1);
  });
});

test("where locks are denied, each tab has its own stream, and asks for no lock again", async () => {
  const locks = new FakeLocks();
  locks.refuses = true;
  vi.stubGlobal("navigator", { onLine: true, locks });
  const [first, second] = [open("newer", { user: "4" }), open("newer", { user: "4" })];
  await pass(1_000);
  for (const one of FakeEventSource.all) {
    one.say("hello", HELLO);
    one.say("post", post("a"), "c1");
  }
  await pass(300);

  expect([opened(), locks.asked]).toEqual([2, 2]);
  expect([first.events, second.events]).toEqual([["a"], ["a"]]);
  expect(first.states.at(-1)).toMatchObject({ phase: "live", tab: "this" });
});

test("without a name for whose feed it is, each tab has its own stream", async () => {
  const [first, second] = [open(), open()];
  FakeEventSource.all[0]?.say("hello", HELLO);
  FakeEventSource.all[0]?.say("post", post("a"), "c1");
  await pass(0);

  expect(opened()).toBe(2);
  expect([first.events, second.events]).toEqual([["a"], []]);
});

test("where there are no locks, each tab has its own stream", async () => {
  vi.stubGlobal("navigator", { onLine: true });
  open("newer", { user: "4" });
  open("newer", { user: "4" });

  expect(opened()).toBe(2);
});

test("a gap reaches every tab, and the snapshot that mends it", async () => {
  const all = await tabs(2);
  source().say("gap", { reason: "too-old", from: "c1", to: "c5" });
  source().say("snapshot", { items: [post("z")], next: null }, "c5");

  expect(all.map(({ gaps }) => gaps)).toEqual([["too-old"], ["too-old"]]);
  expect(all.map(({ snapshots }) => snapshots.at(-1))).toEqual([["z"], ["z"]]);
});

test("without onSnapshot the events of a snapshot come as events, oldest first, once", async () => {
  const { events } = open("newer", { onSnapshot: undefined as never });
  source().say("hello", HELLO);
  source().say("snapshot", { items: [post("b"), post("a")], next: null }, "c0");
  source().say("post", post("b"), "c1");

  expect(events).toEqual(["a", "b"]);
});
