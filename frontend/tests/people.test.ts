import { beforeEach, expect, test, vi } from "vitest";

import { People } from "../src/people.svelte";

const EVERYBODY = ["ann", "bob", "carl", "dora"].map((username, at) => ({ id: at + 1, username }));
let followed: number[];
let people: People;
const names = (some: { username: string }[]) => some.map(({ username }) => username).join(" ");

/** Pages of two, by name. */
function answer(address: string, { method }: RequestInit): Response {
  const [path = "", query] = address.split("?");
  const id = Number(path.split("/").at(-1));
  if (method === "POST") followed.push(id);
  if (method === "DELETE") followed = followed.filter((one) => one !== id);
  if (method !== "GET") return new Response(null, { status: 204 });
  if (path === "/v1/friends") return json({ items: EVERYBODY.filter((one) => followed.includes(one.id)), next: null });
  const asked = new URLSearchParams(query);
  const found = EVERYBODY.filter(
    ({ username }) => username.startsWith(asked.get("query") ?? "") && username > (asked.get("after") ?? ""),
  );
  return json({ items: found.slice(0, 2), next: found.length > 2 ? found[1]?.username : null });
}

function json(body: object): Response {
  return new Response(JSON.stringify(body));
}

beforeEach(async () => {
  followed = [2];
  people = new People();
  vi.stubGlobal("fetch", vi.fn((address: string, how: RequestInit) => Promise.resolve(answer(address, how))));
  await people.refresh();
  await people.search("");
});

test("who is followed is not listed twice, unless somebody searches", async () => {
  expect([names(people.followed), names(people.others)]).toEqual(["bob", "ann"]);
  await people.more();
  expect(names(people.others)).toBe("ann carl dora");
  expect(people.next).toBeNull();

  await people.search("b");
  expect(names(people.others)).toBe("bob");
});

test("who is followed now stays where they were found, and who is no longer followed is found again", async () => {
  await people.follow(EVERYBODY[0]!);
  expect([names(people.followed), names(people.others)]).toEqual(["bob ann", "ann"]);

  await people.unfollow(EVERYBODY[1]!);
  expect([names(people.followed), names(people.others)]).toEqual(["ann", "ann bob"]);

  await people.search("");
  expect(names(people.others)).toBe("bob");
});

test("an answer to an earlier search is dropped", async () => {
  await Promise.all([people.search("a"), people.search("d")]);

  expect(names(people.others)).toBe("dora");
});

test("who is gone is in no list", async () => {
  people.without(2);
  people.without(1);

  expect([names(people.followed), names(people.others)]).toEqual(["", ""]);
});
