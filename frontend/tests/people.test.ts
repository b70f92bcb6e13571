import { beforeEach, describe, expect, test, vi } from "vitest";

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

describe("an answer that comes late", () => {
  type Call = { method: string; path: string; says: (body?: object) => void };
  const calls: Call[] = [];
  const bob = EVERYBODY[1]!;
  const page = (...items: object[]) => ({ items, next: null });
  const turn = () => new Promise((after) => setTimeout(after));

  beforeEach(() => {
    calls.length = 0;
    vi.stubGlobal("fetch", (path: string, { method }: { method: string }) => {
      return new Promise<Response>((done) => {
        const says = (body?: object) => done(body ? json(body) : new Response(null, { status: 204 }));
        calls.push({ method, path, says });
      });
    });
  });

  test("to the earlier of two readings is dropped", async () => {
    const [first, second] = [people.refresh(), people.refresh()];
    calls[1]?.says(page());
    await second;
    calls[0]?.says(page(bob));
    await first;

    expect(names(people.followed)).toBe("");
  });

  test("and was asked for before an unfollow has ended is asked for again", async () => {
    const reading = people.refresh();
    const unfollow = people.unfollow(bob);
    await turn();
    calls[1]?.says();
    await unfollow;
    calls[0]?.says(page(bob));
    await turn();
    expect(names(people.followed)).toBe("");
    calls[2]?.says(page());
    await reading;

    expect([names(people.followed), calls.map(({ method }) => method)]).toEqual(["", ["GET", "DELETE", "GET"]]);
  });

  test("brings nobody back who is no more, in whichever list", async () => {
    const asked = [people.refresh(), people.search("b")];
    people.without(bob.id);
    for (const { says } of calls) says(page(bob));
    await Promise.all(asked);

    expect([names(people.followed), names(people.others)]).toEqual(["", ""]);
  });

  test("holds up the next change of the same person, and of nobody else", async () => {
    const changes = [people.unfollow(bob), people.follow(bob), people.follow(EVERYBODY[2]!)];
    await turn();
    expect(calls.map(({ method, path }) => `${method} ${path}`)).toEqual(["DELETE /v1/friends/2", "POST /v1/friends/3"]);
    calls[1]?.says();
    calls[0]?.says();
    await turn();
    calls[2]?.says();
    await Promise.all(changes);

    expect(names(people.followed)).toBe("carl bob");
  });

  test("of a page that belongs to an earlier search is dropped, also where both were for the same", async () => {
    const again = people.search("");
    calls[0]?.says({ items: [EVERYBODY[0]], next: "ann" });
    await again;
    const more = people.more();
    const onceMore = people.search("");
    calls[2]?.says({ items: [EVERYBODY[0]], next: "ann" });
    await onceMore;
    calls[1]?.says(page(EVERYBODY[3]!));
    await more;

    expect([names(people.found), people.next]).toEqual(["ann", "ann"]);
  });
});

test("who is gone is in no list", async () => {
  people.without(2);
  people.without(1);

  expect([names(people.followed), names(people.others)]).toEqual(["", ""]);
});
