import { expect, test } from "vitest";

import { inLines, parts } from "../src/json";

const HOSTILE = ["", "no JSON", '{"a', '"\\"', "-", "nul", '{"text":"\\" : {1} null"}', "<b>é\u2028</b>", '{"a":-1.5e+3}'];

test("the parts of any text are that text again", () => {
  for (const text of HOSTILE) expect(parts(text).map((part) => part.text).join("")).toBe(text);
});

test("keys, texts, numbers and words are told apart, whatever stands in a text", () => {
  const kinds = parts('{"a": "x: 1", "b\\"": [-2.5, true, null]}').filter(({ kind }) => kind !== "mark");

  expect(kinds.map(({ kind, text }) => `${kind} ${text}`)).toEqual([
    'key "a"',
    'text "x: 1"',
    'key "b\\""',
    "number -2.5",
    "word true",
    "word null",
  ]);
});

test("JSON is broken into lines, and what is none stays as it came", () => {
  expect(inLines('{"id":1}')).toBe('{\n  "id": 1\n}');
  expect(inLines("{oh")).toBe("{oh");
});
