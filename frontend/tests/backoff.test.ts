import { afterEach, expect, test, vi } from "vitest";

import { backoff } from "../src/backoff";

afterEach(() => vi.restoreAllMocks());

test.each([
  [0, [500, 1_000, 2_000, 15_000]],
  [1, [1_000, 2_000, 4_000, 30_000]],
])("waits double up to a bound, and no two clients need wait alike (random: %d)", (random, waits) => {
  vi.spyOn(Math, "random").mockReturnValue(random);

  expect([0, 1, 2, 50].map(backoff)).toEqual(waits);
});
