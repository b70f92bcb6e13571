import { beforeEach, expect, test } from "vitest";

import { Frames, MOST } from "../src/frames.svelte";

let frames: Frames;
const frame = (raw: string, event = "post", data = {}) => ({ event, id: `c-${raw}`, raw, data });
const shown = () => frames.shown.map(({ raw }) => raw);

beforeEach(() => (frames = new Frames()));

test("the newest stand on top, each with the node that the hello before it named", () => {
  frames.add(frame("hi", "hello", { node: "stream-2" }), "");
  frames.add(frame("one"), "");

  expect(frames.shown.map(({ raw, node }) => [raw, node])).toEqual([
    ["one", "stream-2"],
    ["hi", "stream-2"],
  ]);
});

test("a pause keeps what is in sight, and loses nothing that comes meanwhile", () => {
  frames.add(frame("one"), "n");
  frames.pause();
  frames.add(frame("two"), "n");
  frames.add(frame("three"), "n");

  expect([shown(), frames.missed, frames.paused]).toEqual([["one"], 2, true]);
  frames.pause();
  expect([shown(), frames.missed, frames.paused]).toEqual([["three", "two", "one"], 0, false]);
});

test("a filter looks at name, cursor, text and node in whatever case, also while paused", () => {
  frames.add(frame("One"), "stream-1");
  frames.add(frame("beat", "heartbeat"), "stream-2");
  frames.pause();

  for (const [filter, found] of [
    ["oNE", ["One"]],
    ["HEART", ["beat"]],
    ["c-b", ["beat"]],
    ["stream-1", ["One"]],
    ["stream", ["beat", "One"]],
  ] as const) {
    frames.filter = filter;
    expect(shown(), filter).toEqual(found);
  }
  frames.filter = "";
  frames.heartbeats = false;
  expect(shown()).toEqual(["One"]);
});

test("no more than the last ones are kept, and what is cleared is gone, paused or not", () => {
  for (let n = 0; n < MOST + 10; n++) frames.add(frame(String(n)), "n");
  expect([frames.lines.length, frames.lines[0]?.raw]).toEqual([MOST, String(MOST + 9)]);

  frames.pause();
  frames.clear();
  expect(shown()).toEqual([]);
  frames.add(frame("after"), "n");
  frames.pause();
  expect(shown()).toEqual(["after"]);
});
