import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { cursorOf, HELD_BACK, HELLO, open, opened, pass, post, socket, source } from "./opening";
import { browser, FakeEventSource, FakeWebSocket, install, renewals, uninstall } from "./server";

const sign = (name: string) => browser.window.dispatchEvent(new Event(name));
const shown = () => browser.document.dispatchEvent(new Event("visibilitychange"));

beforeEach(install);
afterEach(uninstall);

/** A feed that is live, with cursor c1. */
async function openLive(options = {}) {
  const opening = open("newer", options);
  source().say("hello", HELLO);
  source().say("heartbeat", { at: 0 }, "c1");
  await pass(0);
  return opening;
}

describe("when the machine slept", () => {
  test("a stream that looks alive is opened anew within seconds, with its cursor", async () => {
    await openLive();
    vi.setSystemTime(Date.now() + 8 * 3_600_000); // the timers stood still
    await pass(5_000);

    expect(opened()).toBe(2);
    expect(cursorOf(source().url)).toBe("c1");
  });

  test("a tab that is shown again does not wait for the watchdog", async () => {
    await openLive();
    vi.setSystemTime(Date.now() + 20_000);
    shown();

    expect(opened()).toBe(2);
  });

  test("a tab that is shown again leaves a stream alone that was heard just now", async () => {
    await openLive();
    shown();
    sign("pageshow");

    expect(opened()).toBe(1);
  });

  test("a clock that is put back stops no watchdog", async () => {
    await openLive();
    vi.setSystemTime(Date.now() - 3_600_000);
    await pass(45_000);

    expect(opened()).toBe(2);
  });

  test("a frozen tab holds no stream, and comes back with its cursor", async () => {
    await openLive();
    browser.document.dispatchEvent(new Event("freeze"));
    expect(source().readyState).toBe(FakeEventSource.CLOSED);
    browser.document.dispatchEvent(new Event("resume"));
    await pass(0);

    expect(opened()).toBe(2);
    expect(cursorOf(source().url)).toBe("c1");
  });
});

describe("when the network goes and comes", () => {
  test("it says offline, and is back at once when the network is", async () => {
    const { states } = await openLive();
    sign("offline");
    expect(states.at(-1)).toEqual({ phase: "offline", tab: "this" });
    sign("online");

    expect(opened()).toBe(2);
    expect(cursorOf(source().url)).toBe("c1");
  });

  test("it tries all the same: a browser's word that there is no network may be wrong", async () => {
    await openLive();
    sign("offline");
    await pass(2_000);

    expect(opened()).toBe(2);
  });

  test("a token that ended meanwhile is renewed at once, whatever failed before", async () => {
    const { renew } = await openLive();
    sign("offline");
    sign("online");
    source().refuse();
    await pass(0);

    expect(renew).toHaveBeenCalledOnce();
    expect(opened()).toBe(3);
  });

  test("a wait for the next attempt ends when the tab is shown", async () => {
    const { states } = open("?");
    source().refuse();
    await pass(0);
    expect(states.at(-1)?.phase).toBe("waiting");
    shown();

    expect(opened()).toBe(2);
  });
});

describe("what was missed", () => {
  test("it is catching up until nothing more comes, then live", async () => {
    const { states } = open();
    source().say("hello", { ...HELLO, resumed: true });
    for (const id of ["a", "b", "c"]) {
      await pass(200);
      source().say("post", post(id), `c-${id}`);
    }
    expect(states.at(-1)?.phase).toBe("catching-up");
    await pass(300);

    expect(states.at(-1)).toMatchObject({ phase: "live", resumed: true });
  });

  test("a heartbeat says that all has come, however busy the stream is", async () => {
    const { states } = open();
    source().say("hello", HELLO);
    source().say("post", post("a"), "c1");
    source().say("heartbeat", { at: 0 }, "c2");
    await pass(1);

    expect(states.at(-1)?.phase).toBe("live");
  });
});

describe("when the token is about to end", () => {
  test("the newer one is handed in, and the stream stays", async () => {
    const { renew, states } = await openLive();
    const before = states.length;
    source().say("expiring", { expires_at: 1 });
    await pass(1);

    expect(renew).toHaveBeenCalledOnce();
    expect(renewals.bearers).toEqual(["Bearer newer"]);
    expect([opened(), states.length]).toEqual([1, before]);
  });

  test("on a WebSocket it is said", async () => {
    open();
    await pass(HELD_BACK);
    socket().say("hello", HELLO);
    socket().say("expiring", { expires_at: 1 });
    await pass(1);

    expect(socket().sent).toEqual(['{"token":"newer"}']);
  });

  test("a server that does not take it gets a new stream", async () => {
    await openLive();
    renewals.ok = false;
    source().say("expiring", { expires_at: 1 });
    await pass(1);

    expect(opened()).toBe(2);
  });

  test("tokens that live for seconds are not asked for in a storm", async () => {
    const { renew } = await openLive();
    for (let n = 0; n < 10; n++) {
      source().say("expiring", { expires_at: 1 });
      await pass(2_000);
    }

    expect(renew.mock.calls.length).toBe(3); // in 20 s, the first at once
  });

  test("it is asked again a second later where nobody could say, and then at pauses that grow to a bound", async () => {
    const asked: number[] = [];
    const token = vi.fn(() => Promise.reject(new Error(`offline ${asked.push(Date.now())}`)));
    vi.mocked(Math.random).mockReturnValue(1); // the longest that any pause can be
    open("", { token });
    source().say("hello", HELLO);
    source().say("expiring", { expires_at: 1 });
    for (let n = 0; n < 20; n++) {
      await pass(15_000);
      source().say("heartbeat", { at: 0 });
    }

    const pauses = asked.slice(1).map((at, n) => at - (asked[n] ?? 0));
    expect(pauses.slice(0, 7)).toEqual([1_100, 2_100, 4_100, 8_100, 16_100, 30_100, 30_100]);
    expect(Math.max(...pauses)).toBe(30_100);
    expect(opened()).toBe(1);
  });

  test("after a stream that expired it is asked at each refusal until somebody could say", async () => {
    let answered = false;
    const token = vi.fn(() => (answered ? Promise.resolve("newer") : Promise.reject(new Error("the answer was lost"))));
    open("", { token });
    source().say("hello", HELLO);
    source().say("bye", { reason: "expired", retry: 3_000 });
    await pass(700); // half of a second, by the fake dice, and a tenth
    source().refuse();
    await pass(1_700);
    answered = true;
    source().refuse();
    await pass(0);

    expect([token.mock.calls.length, opened()]).toEqual([3, 4]);
  });

  test("a page that never answers, or throws, is asked again", async () => {
    const token = vi.fn(() => new Promise<string>(() => {}));
    open("", { token });
    source().say("hello", HELLO);
    source().say("expiring", { expires_at: 1 });
    const quiet = async (seconds: number) => {
      for (let passed = 0; passed < seconds; passed += 10) {
        await pass(10_000);
        source().say("heartbeat", { at: 0 });
      }
    };
    await quiet(40);
    expect(token.mock.calls.length).toBe(2); // one was waited for in vain
    token.mockImplementation(() => {
      throw new Error("a page's own fault");
    });
    await quiet(50);
    expect(token.mock.calls.length).toBeGreaterThan(3);
    token.mockResolvedValue("newer");
    await quiet(40);

    expect(renewals.bearers).toEqual(["Bearer newer"]);
    expect(opened()).toBe(1);
  });

  test("a session that is over ends the feed", async () => {
    const { states } = open(null);
    source().say("hello", HELLO);
    source().say("expiring", { expires_at: 1 });
    await pass(1);

    expect(states.at(-1)).toMatchObject({ phase: "ended", reason: "signed-out" });
  });
});

describe("on WebSocket for long", () => {
  const long = async () => {
    for (let n = 0; n < 40; n++) {
      await pass(15_000);
      socket().say("heartbeat", { at: 0 }, `c${n}`);
    }
    await pass(4_000);
  };

  test("a hello by EventSource takes over with the cursor, and the socket is closed", async () => {
    const { states, events } = open();
    await pass(HELD_BACK);
    socket().say("hello", HELLO);
    await long();
    expect(opened()).toBe(3);
    expect(socket().isClosed).toBe(false);
    source().say("hello", { ...HELLO, resumed: true });
    source().say("post", post("a"), "c99");
    await pass(300);

    expect(socket().isClosed).toBe(true);
    expect(states.at(-1)).toMatchObject({ phase: "live", by: "sse" });
    expect(events).toEqual(["a"]);
  });

  test("a clock that is put back does not put off the next try of EventSource", async () => {
    open();
    await pass(HELD_BACK);
    socket().say("hello", HELLO);
    vi.setSystemTime(Date.now() - 3_600_000);
    await long();
    await pass(10_000);

    expect(opened()).toBe(3);
  });

  test("an EventSource that is still held back is given up, and nothing is noticed", async () => {
    const { states } = open();
    await pass(HELD_BACK);
    socket().say("hello", HELLO);
    await pass(300);
    const before = states.length;
    await long();
    await pass(10_000);

    expect(source().readyState).toBe(FakeEventSource.CLOSED);
    expect([FakeWebSocket.all.length, socket().isClosed, states.length]).toEqual([1, false, before]);
  });
});

describe("with the token in the address", () => {
  test("it is asked for first, and sent as each transport can", async () => {
    open("newer", { tokenIn: "url" });
    expect(opened()).toBe(0);
    await pass(0);
    expect(new URL(source().url).searchParams.get("access_token")).toBe("newer");
    await pass(HELD_BACK);

    expect(socket().protocols).toEqual(["feed.v1", "bearer.newer"]);
    expect(socket().url).not.toContain("newer");
  });
});

describe("over a reload", () => {
  test("the cursor is where it was, for the same person alone", async () => {
    const { feed } = await openLive({ user: "4" });
    source().say("post", post("a"), "c7");
    sign("pagehide");
    feed.close();
    await pass(0);
    open("newer", { user: "4" });
    expect(cursorOf(source().url)).toBe("c7");
    open("newer", { user: "5" });

    expect(cursorOf(source().url)).toBe(null);
  });

  test("a cursor that is given wins, and a session that is over leaves none", async () => {
    const { feed } = await openLive({ user: "4", cursor: "given" });
    expect(cursorOf(FakeEventSource.all[0]?.url ?? "")).toBe("given");
    sign("pagehide");
    feed.signedOut();

    expect(browser.kept.size).toBe(0);
  });

  test("a browser that keeps nothing is no error", async () => {
    vi.stubGlobal("localStorage", undefined);
    const { feed } = await openLive({ user: "4" });
    sign("pagehide");

    expect(feed.cursor).toBe("c1");
  });
});

test("a page may have it try at once where it waits, and leaves a stream alone that is live", async () => {
  const { feed, states } = await openLive();
  feed.wake();
  expect(opened()).toBe(1);
  source().say("bye", { reason: "draining", retry: 9_000 });
  expect(states.at(-1)?.phase).toBe("waiting");

  feed.wake();

  expect(opened()).toBe(2);
});
