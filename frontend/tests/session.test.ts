/** Whose page it is, when the browser's cookies may become somebody else's, against an API made by hand. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

const ANN = { id: 4, username: "ann" };
const [ANNS, NEWER, BOBS] = [
  { token: "ann-1", userId: 4, username: "ann", expires_at: 1 },
  { token: "ann-2", userId: 4, username: "ann", expires_at: 1 },
  { token: "bob-1", userId: 5, username: "bob", expires_at: 1 },
];

type Asked = { path: string; bearer: string | null };
type Said = { status: number; body?: object };
let asked: Asked[] = [];
let answers: Record<string, (() => Promise<Said> | Said)[]> = {};

const lost = () => Promise.reject(new TypeError("the connection broke"));
const refused = () => ({ status: 401, body: { error: "token-expired" } });
const says = (body: object) => () => ({ status: 200, body });

const kept = { getItem: () => null, setItem: () => {} };
vi.stubGlobal("localStorage", kept);
vi.stubGlobal("sessionStorage", kept);
vi.stubGlobal("navigator", { languages: ["en"] });
vi.stubGlobal("fetch", async (path: string, { headers }: { headers: Headers }) => {
  asked.push({ path, bearer: headers.get("Authorization") });
  const { status, body } = (await answers[path]?.shift()?.()) ?? { status: 204 };
  return { status, ok: status < 300, json: () => Promise.resolve(body) };
});
// Only now: what they are made of looks for its browser.
const { session } = await import("../src/session.svelte");
const { call, tokenForFeed } = await import("../src/rest");
const { Outgoing } = await import("../src/outgoing.svelte");

beforeEach(async () => {
  vi.useFakeTimers();
  session.ended();
  answers = { "/v1/auth/sign-in": [says(ANNS)] };
  await session.signIn("ann", "a password");
  asked = [];
});

afterEach(() => vi.useRealTimers());

test("a token that has ended is renewed, and what was asked for is asked for again", async () => {
  answers = { "/v1/posts": [refused, says({ id: 7 })], "/v1/auth/refresh": [says(NEWER)] };

  expect(await call("POST", "/v1/posts", { text: "mine" })).toEqual({ id: 7 });
  expect(asked.map(({ bearer }) => bearer)).toEqual(["Bearer ann-1", null, "Bearer ann-2"]);
  expect(session.me).toEqual(ANN);
});

test("a renewal that brings somebody else's token makes the page theirs, and posts nothing in their name", async () => {
  answers = { "/v1/posts": [refused], "/v1/auth/refresh": [says(BOBS)] };

  await expect(call("POST", "/v1/posts", { text: "mine" })).rejects.toMatchObject({ status: 401 });
  expect(asked.map(({ path }) => path)).toEqual(["/v1/posts", "/v1/auth/refresh"]);
  expect(session.me).toEqual({ id: 5, username: "bob" });
});

test("a feed gets no token of somebody else's, and is not told that its session is over", async () => {
  answers = { "/v1/auth/refresh": [says(NEWER), says(BOBS)] };

  expect(await tokenForFeed(ANN.id)).toBe("ann-2");
  await expect(tokenForFeed(ANN.id)).rejects.toThrow();
  expect(session.me?.username).toBe("bob");
});

test("a post whose answer is lost after its author has left is not sent again as whoever came then", async () => {
  const outgoing = new Outgoing(ANN, () => {});
  answers = { "/v1/posts": [lost, lost] };
  outgoing.post("mine");
  outgoing.close();
  await vi.advanceTimersByTimeAsync(60_000);
  outgoing.retryAll();
  await vi.advanceTimersByTimeAsync(60_000);

  expect(asked.length).toBe(1);
  expect(outgoing.drafts.map(({ text, state }) => [text, state])).toEqual([["mine", "failed"]]);
});

test("a session that turns out to be over while something is asked for ends the page's, once", async () => {
  const farewell = vi.fn();
  session.onEnd(farewell);
  answers = { "/v1/feed": [refused], "/v1/friends": [refused], "/v1/auth/refresh": [refused, refused] };
  const both = await Promise.allSettled([call("GET", "/v1/feed"), call("GET", "/v1/friends")]);

  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect([session.me, session.known]).toEqual([undefined, true]);
  expect(farewell).toHaveBeenCalledOnce();
});

test("an API that cannot be asked ends nothing", async () => {
  answers = { "/v1/posts": [refused], "/v1/auth/refresh": [lost] };

  await expect(call("POST", "/v1/posts")).rejects.toMatchObject({ code: "offline" });
  expect(session.me).toEqual(ANN);
});

test("signing out where somebody else has signed in meanwhile leaves them signed in", async () => {
  answers = { "/v1/auth/sign-out": [refused], "/v1/auth/refresh": [says(BOBS)] };
  await session.signOut();

  expect(session.me?.username).toBe("bob");
});

describe("an answer to a renewal that was asked for before", () => {
  /** Renews, and answers only when told to. */
  function renewing(): (said: Said) => void {
    let say: (said: Said) => void = () => {};
    answers["/v1/auth/refresh"] = [() => new Promise<Said>((done) => (say = done))];
    void tokenForFeed(ANN.id).catch(() => {});
    return (said) => say(said);
  }

  test("a sign-out signs nobody in again", async () => {
    const answer = renewing();
    await session.signOut();
    answers["/v1/auth/refresh"] = [refused];
    answer({ status: 200, body: NEWER });
    await vi.advanceTimersByTimeAsync(0);

    expect([session.me, session.known]).toEqual([undefined, true]);
  });

  test("somebody signed in does not sign them out", async () => {
    session.ended();
    const answer = renewing();
    answers["/v1/auth/sign-in"] = [says(BOBS)];
    await session.signIn("bob", "a password");
    answers["/v1/auth/refresh"] = [says(BOBS)];
    answer(refused());
    await vi.advanceTimersByTimeAsync(0);

    expect(session.me?.username).toBe("bob");
  });
});

test("deleting an account where somebody else has signed in meanwhile leaves them signed in", async () => {
  let done: (said: Said) => void = () => {};
  answers = { "/v1/me": [() => new Promise<Said>((answer) => (done = answer))], "/v1/auth/sign-in": [says(BOBS)] };
  const leaving = session.leave("a password");
  await session.signIn("bob", "a password");
  done({ status: 204 });
  await leaving;

  expect(session.me?.username).toBe("bob");
});
