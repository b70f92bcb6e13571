import type { State } from "#feed";
import { expect, test } from "vitest";

import { en } from "../src/words/en";
import { ru } from "../src/words/ru";

/** Russian's own spaces between thousands are not to be compared. */
const plain = (text: string) => text.replaceAll(/\s/g, " ");

test("Russian has three forms, and the number chooses", () => {
  expect([1, 2, 5, 11, 12, 21, 22, 25, 111, 1001].map((n) => plain(ru.followers(n)))).toEqual([
    "1 читатель",
    "2 читателя",
    "5 читателей",
    "11 читателей",
    "12 читателей",
    "21 читатель",
    "22 читателя",
    "25 читателей",
    "111 читателей",
    "1 001 читатель",
  ]);
  expect([1, 3, 10].map((n) => ru.fresh(n))).toEqual(["1 новая", "3 новые", "10 новых"]);
  expect([1, 4, 500].map((n) => ru.frames(n, n))).toEqual(["1 кадр", "4 кадра", "500 кадров"]);
  expect([1, 2, 7].map((n) => ru.over(n))).toEqual(["1 лишний", "2 лишних", "7 лишних"]);
});

test("English has two", () => {
  expect([0, 1, 2].map((n) => en.followers(n))).toEqual(["0 followers", "1 follower", "2 followers"]);
  expect([en.frames(1, 1), en.frames(3, 8)]).toEqual(["1 frame", "3 of 8 frames"]);
});

test("more than the API counts is said to be more", () => {
  expect([en.followers(10_000), en.followers(10_001)]).toEqual(["10,000 followers", "10,000+ followers"]);
  expect(plain(ru.follows(10_001))).toBe("читает 10 000+ человек");
});

test("every state of the connection has words of its own", () => {
  const live = { node: "stream-1", resumed: false, tab: "this" } as const;
  const states: State[] = [
    { phase: "connecting", tab: "this" },
    { phase: "catching-up", by: "sse", ...live },
    { phase: "live", by: "sse", ...live },
    { phase: "live", by: "ws", ...live },
    { phase: "waiting", ms: 4_000, reason: "refused", tab: "this" },
    { phase: "offline", tab: "this" },
    { phase: "ended", reason: "signed-out", tab: "this" },
    { phase: "ended", reason: "closed", tab: "this" },
  ];
  for (const { state } of [en, ru]) expect(new Set(states.map(state)).size).toBe(states.length);
});
