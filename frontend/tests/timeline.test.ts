import { beforeEach, describe, expect, test, vi } from "vitest";

import { FURTHEST, LONGEST, Timeline } from "../src/timeline.svelte";
import { ann, feedApi, numbers, post, posts } from "./events";

const bob = { id: 5, username: "bob" };
let timeline: Timeline;

/** Somebody who has loaded everything down to the first of these, and reads there. */
async function reading(count: number) {
  const api = feedApi(posts(count));
  await timeline.load();
  while (timeline.next !== null && !timeline.isFull) await timeline.older();
  timeline.reads = true;
  return api;
}

beforeEach(() => (timeline = new Timeline()));

describe("at the top", () => {
  test("what comes stands in the list at once, and once", async () => {
    feedApi(posts(3));
    await timeline.load();

    expect(timeline.add(post(4))).toBe(true);
    expect(timeline.add(post(4))).toBe(false);
    expect(numbers(timeline.items)).toEqual([4, 3, 2, 1]);
    expect([timeline.waits, timeline.fresh]).toEqual([false, 0]);
  });

  test("what came live and is not in the archive yet survives a new reading", async () => {
    feedApi(posts(3));
    await timeline.load();
    timeline.add(post(4));

    await timeline.load();

    expect(numbers(timeline.items)).toEqual([4, 3, 2, 1]);
  });

  test("an event before the list does not pass for the list", () => {
    timeline.add(post(1));

    expect(timeline.loaded).toBe(false);
  });
});

describe("an answer that was asked for before", () => {
  const theirs = { ...post(3), actor: bob };
  const bobs = () => timeline.items.filter(({ actor }) => actor.id === bob.id).length;

  test.each(["load", "older"] as const)("an unfollow brings nothing back (%s), nor does an archive that lags", async (how) => {
    feedApi(how === "load" ? [theirs, ...posts(2)] : [...posts(60, 4), theirs, ...posts(2)]);
    if (how === "older") await timeline.load();
    const reading = timeline[how]();
    timeline.without(bob.id);
    await reading;
    expect(bobs()).toBe(0);
    await timeline.load(); // it still has not heard
    if (how === "older") await timeline.older();

    expect(bobs()).toBe(0);
  });

  test("a follow is not kept out by the unfollow before it", async () => {
    feedApi([theirs, ...posts(2)]);
    timeline.without(bob.id);
    timeline.follows(bob.id);
    await timeline.load();

    expect(bobs()).toBe(1);
  });

  test.each([
    ["the list after a gap", () => timeline.replace({ items: [theirs], next: null })],
    ["an event of theirs", () => timeline.add(theirs)],
  ])("an unfollow is forgotten where %s says that they are followed again", async (_, said) => {
    feedApi([theirs, ...posts(2)]);
    timeline.without(bob.id);
    said();
    await timeline.load();

    expect(bobs()).toBe(1);
  });

  test.each(["load", "older"] as const)("the list after a gap is not put into it (%s)", async (how) => {
    const api = feedApi(posts(100));
    await timeline.load();
    const reading = timeline[how]();
    api.log = posts(100).filter((_, n) => n !== 20 && n !== 60); // deleted in the gap, of which nothing is told
    timeline.replace({ items: api.log.slice(0, 50), next: post(51).id });
    await reading;
    await timeline.older();

    expect(numbers(timeline.items)).toEqual(numbers(api.log));
  });

  test("a later one is not applied after it", async () => {
    const answers: (() => void)[] = [];
    const page = (items: object[]) => new Response(JSON.stringify({ items, next: null, cursor: `c${items.length}` }));
    let made = 1;
    vi.stubGlobal("fetch", () => {
      const now = page(posts(made++));
      return new Promise<Response>((done) => answers.push(() => done(now)));
    });
    const [first, second] = [timeline.load(), timeline.load()];
    answers[1]?.();
    expect(await second).toBe("c2");
    answers[0]?.();

    expect(await first).toBeUndefined();
    expect(numbers(timeline.items)).toEqual([2, 1]);
  });
});

describe("while somebody reads further down", () => {
  test("what comes waits, counted, and the list stays as it is", async () => {
    await reading(80);
    const shown = timeline.items;

    timeline.add(post(81));
    timeline.add(post(81));
    timeline.add(post(82));

    expect(timeline.items).toBe(shown);
    expect([timeline.waits, timeline.fresh]).toEqual([true, 2]);
    timeline.showFresh();
    expect(numbers(timeline.items)).toEqual(numbers(posts(82)));
    expect([timeline.waits, timeline.fresh]).toEqual([false, 0]);
  });

  test("following somebody keeps the list and what was loaded of it, and their past waits in its place", async () => {
    const api = await reading(180);
    const shown = timeline.items;
    const past = [170, 100, 20].map((n) => ({ ...post(n, bob), id: `${post(n).id}b` }));
    api.log = [...posts(180), ...past].sort((a, b) => (a.id < b.id ? 1 : -1));

    await timeline.load();
    await timeline.load();

    expect(timeline.items).toBe(shown);
    expect(timeline.fresh).toBe(3);
    timeline.showFresh();
    expect(timeline.items.map(({ id }) => id)).toEqual(api.log.map(({ id }) => id));
    expect(timeline.next).toBeNull();
  });

  test("reading the list anew shows nothing to wait for where nothing has changed", async () => {
    await reading(80);

    await timeline.load();

    expect(timeline.waits).toBe(false);
  });

  test("a gap's list waits also where nothing in it is newer than what is shown, and takes its place", async () => {
    await reading(80);
    const shown = timeline.items;

    timeline.replace({ items: posts(80, 31).filter(({ id }) => id !== post(50).id), next: post(31).id });

    expect(timeline.items).toBe(shown);
    expect([timeline.waits, timeline.fresh]).toEqual([true, 0]);
    timeline.showFresh();
    expect(numbers(timeline.items)).not.toContain(50);
    expect([timeline.items.length, timeline.next]).toEqual([49, post(31).id]);
  });

  test("what comes after a gap's list is in it too", async () => {
    await reading(80);
    timeline.replace({ items: posts(90, 41), next: post(41).id });
    timeline.add(post(91));

    expect(timeline.fresh).toBe(11);
    timeline.showFresh();

    expect(numbers(timeline.items)).toEqual(numbers(posts(91, 41)));
  });

  test("what is taken back leaves both lists, and comes back with no page", async () => {
    const api = await reading(80);
    timeline.add(post(81));
    timeline.add({ ...post(82), type: "post-deleted", object: { id: 81 } });
    timeline.add({ ...post(83), type: "post-deleted", object: { id: 80 } });
    api.log = posts(81);

    expect(numbers(timeline.items)[0]).toBe(79);
    expect(timeline.fresh).toBe(0);
    await timeline.load();
    timeline.showFresh();
    expect(numbers(timeline.items)[0]).toBe(79);
  });

  test("who is no longer followed leaves both lists", async () => {
    await reading(3);
    timeline.add(post(4, bob));
    timeline.without(ann.id);

    expect(timeline.items).toEqual([]);
    timeline.showFresh();
    expect(numbers(timeline.items)).toEqual([4]);
  });
});

describe("bounds", () => {
  test("thousands that come meanwhile wait as the newest of them, and the list goes on below without a hole", async () => {
    const api = await reading(100);
    for (let n = 101; n <= 5_000; n++) timeline.add(post(n));
    api.log = posts(5_000);

    expect(timeline.fresh).toBe(LONGEST);
    timeline.showFresh();
    expect(timeline.items).toHaveLength(LONGEST);
    await timeline.older();
    expect(numbers(timeline.items)).toEqual(numbers(posts(5_000, 5_000 - LONGEST - 49)));
  });

  test("going back in time ends at a bound, and the top lets go of what is far below", async () => {
    await reading(FURTHEST + 500);

    expect([timeline.items.length, timeline.isFull]).toEqual([FURTHEST, true]);
    timeline.showFresh();
    expect([timeline.items.length, timeline.isFull]).toEqual([LONGEST, false]);
    await timeline.older();
    expect(numbers(timeline.items)).toEqual(numbers(posts(FURTHEST + 500, FURTHEST - 49)));
  });
});
