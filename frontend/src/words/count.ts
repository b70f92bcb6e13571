/** A number of people as it is written; the API counts no further than `MOST`. */

export const MOST = 10_000;

export function count(language: string, n: number): string {
  return `${Math.min(n, MOST).toLocaleString(language)}${n > MOST ? "+" : ""}`;
}
