/** How long to wait before the next try, in ms: doubled each time, never more than LONGEST, and not all clients at once. */

const FIRST = 1_000; // ms
const LONGEST = 30_000; // ms

export function backoff(tries: number): number {
  return Math.min(LONGEST, FIRST * 2 ** tries) * (0.5 + Math.random() / 2);
}
