/** What becomes of posts that could not be sent. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Outgoing } from "../src/outgoing.svelte";

const ANN = { id: 4, username: "ann" };
const HOUR = 3_600_000;
let kept: Map<string, string>;
let sent: string[]; // keys
let answer: () => Promise<Response> | Response;
let made: string[];

const unreachable = () => Promise.reject(new TypeError("offline"));
const refuses = (status: number) => () => new Response(JSON.stringify({ error: "invalid" }), { status });
const takes = () => new Response(JSON.stringify({ id: 7, text: "mine", at: "", event_id: "e7" }), { status: 201 });
const opened = () => new Outgoing(ANN, ({ id }) => made.push(id));
const states = (outgoing: Outgoing) => outgoing.drafts.map(({ state }) => state);
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  [kept, sent, made, answer] = [new Map(), [], [], unreachable];
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
  vi.stubGlobal("fetch", (_: string, { headers }: { headers: Headers }) => {
    sent.push(headers.get("Idempotency-Key") ?? "");
    return answer();
  });
});

afterEach(() => vi.useRealTimers());

/** A page with one post that could not be sent, and is not tried any more by itself. */
async function unsent(): Promise<Outgoing> {
  const outgoing = opened();
  outgoing.post("mine");
  await pass(10 * 60_000);
  expect([states(outgoing), sent.length]).toEqual([["failed"], 5]);
  sent = [];
  return outgoing;
}

test("a post is sent with one key until the API has it, also over a reload", async () => {
  const [key] = (await unsent()).drafts.map((draft) => draft.key);
  answer = takes;
  const reloaded = opened();
  reloaded.retryAll();
  await pass(0);

  expect([sent, made, reloaded.drafts, kept.size]).toEqual([[`"${key}"`], ["e7"], [], 0]);
});

test.each([24 * HOUR, -24 * HOUR])("one whose key the API may have forgotten (%d ms later) is sent by a person alone", async (later) => {
  await unsent();
  vi.setSystemTime(Date.now() + later);
  answer = takes;
  const reloaded = opened();
  reloaded.retryAll();
  reloaded.retryAll();
  await pass(10 * 60_000);
  expect([sent, states(reloaded), states(opened())]).toEqual([[], ["old"], ["old"]]);

  reloaded.retry(reloaded.drafts[0]!);
  await pass(0);
  expect([sent.length, made, reloaded.drafts]).toEqual([1, ["e7"], []]);
});

test("one that a person has sent again is sent by itself from then on", async () => {
  await unsent();
  vi.setSystemTime(Date.now() + 24 * HOUR);
  const reloaded = opened();
  reloaded.retryAll();
  reloaded.retry(reloaded.drafts[0]!);
  await pass(0);
  answer = takes;
  await pass(10_000);

  expect([sent.length, made]).toEqual([2, ["e7"]]);
});

test.each([400, 403, 413, 422])("what can't become right (%d) is not sent again", async (status) => {
  answer = refuses(status);
  const outgoing = opened();
  outgoing.post("half \ud83d");
  await pass(10 * 60_000);
  outgoing.retryAll();
  const reloaded = opened();
  reloaded.retryAll();
  await pass(10 * 60_000);

  expect([sent.length, states(outgoing), states(reloaded)]).toEqual([1, ["refused"], ["refused"]]);
});

test.each([429, 500, 503])("what may become right (%d) is", async (status) => {
  answer = refuses(status);
  const outgoing = opened();
  outgoing.post("mine");
  await pass(0);
  answer = takes;
  await pass(10_000);

  expect([sent.length, made]).toEqual([2, ["e7"]]);
});

test("whoever signs out leaves nothing behind, also where an answer comes later", async () => {
  await unsent();
  const outgoing = opened();
  let fail = (_: Error) => {};
  answer = () => new Promise((_, no) => (fail = no));
  outgoing.retryAll();
  outgoing.forget();
  fail(new TypeError("offline"));
  await pass(10 * 60_000);

  expect([kept.size, sent.length, opened().drafts]).toEqual([0, 1, []]);
});

test("whose session ended otherwise finds it again, and nobody else does", async () => {
  (await unsent()).close();

  expect(new Outgoing({ id: 5, username: "bob" }, () => {}).drafts).toEqual([]);
  expect(states(opened())).toEqual(["failed"]);
});

test.each(["{", "null", "7", "[null, 1, {}]", '[{"key": 1, "text": "a", "at": "b"}]', '{"length": 3}'])(
  "what is no draft of ours is passed over: %s",
  (text) => {
    kept.set(`stickyfeed unsent ${ANN.id}`, text);

    expect(opened().drafts).toEqual([]);
  },
);

test("a date that is none is an old one", async () => {
  kept.set(`stickyfeed unsent ${ANN.id}`, '[{"key": "a", "text": "b", "at": "yesterday"}]');
  const outgoing = opened();
  outgoing.retryAll();
  await pass(0);

  expect([states(outgoing), sent]).toEqual([["old"], []]);
});
