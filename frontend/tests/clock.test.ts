import { afterEach, beforeEach, expect, test, vi } from "vitest";

const NOW = new Date("2026-11-25T12:00:00Z");
const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000];

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  vi.resetModules();
});
afterEach(() => vi.useRealTimers());

/** What is said of these moments, so many ms ago, in a language. */
async function said(language: "en" | "ru", ...passed: number[]): Promise<string[]> {
  const [{ ago }, { speech }] = [await import("../src/clock.svelte"), await import("../src/words/index.svelte")];
  speech.choose(language);
  return passed.map((ms) => ago(new Date(NOW.getTime() - ms)));
}

test("what happened is told in the largest unit that has passed, and by its day after a week", async () => {
  expect(await said("en", 59 * SECOND, MINUTE, 59 * MINUTE, HOUR, 23 * HOUR, DAY, 6 * DAY, 7 * DAY)).toEqual([
    "just now",
    "1 min. ago",
    "59 min. ago",
    "1 hr. ago",
    "23 hr. ago",
    "yesterday",
    "6 days ago",
    "Nov 18, 2026",
  ]);
});

test("a clock that is behind makes nothing that is still to come", async () => {
  expect(await said("en", -5 * MINUTE)).toEqual(["just now"]);
});

test("in Russian too", async () => {
  expect(await said("ru", SECOND, 2 * MINUTE, 5 * HOUR, DAY)).toEqual(["только что", "2 мин. назад", "5 ч назад", "вчера"]);
});

test("it changes by itself as time passes", async () => {
  const { ago } = await import("../src/clock.svelte");
  const at = new Date();
  expect(ago(at)).toBe("just now");

  vi.advanceTimersByTime(2 * MINUTE);

  expect(ago(at)).toBe("2 min. ago");
});
