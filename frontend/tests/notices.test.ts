import { beforeEach, expect, test } from "vitest";

import { Notices } from "../src/notices.svelte";

let notices: Notices;
const fails = (text: string) => () => Promise.reject(new Error(text));
const succeeds = () => Promise.resolve();

beforeEach(() => (notices = new Notices()));

test("a failure is said until the same succeeds, whatever else does", async () => {
  expect(await notices.attempt(fails("no feed"), "feed")).toBe(false);
  expect(await notices.attempt(succeeds, "people")).toBe(true);
  expect(notices.texts).toEqual(["no feed"]);

  await notices.attempt(fails("still no feed"), "feed");
  expect(notices.texts).toEqual(["still no feed"]);
  await notices.attempt(succeeds, "feed");
  expect(notices.texts).toEqual([]);
});

test("what failed by the same is said once, and closed at once", async () => {
  await notices.attempt(fails("offline"), "feed");
  await notices.attempt(fails("offline"), "people");
  await notices.attempt(fails("taken"), "name");

  expect(notices.texts).toEqual(["offline", "taken"]);
  notices.close("offline");
  expect(notices.texts).toEqual(["taken"]);
});

test("no more than the last ones are kept", async () => {
  for (let n = 0; n < 30; n++) await notices.attempt(fails(`${n}`), `${n}`);

  expect(notices.texts).toHaveLength(10);
  expect(notices.texts.at(-1)).toBe("29");
});
