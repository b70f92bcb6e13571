/** The time as people say it: "3 min ago", and what day it was when that is long gone. */

import { speech } from "./words/index.svelte";

const TURN = 15_000; // ms; nothing is shown finer than minutes
const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];

class Clock {
  now = $state(Date.now());
  constructor() {
    setInterval(() => (this.now = Date.now()), TURN);
  }
}

const clock = new Clock();

/** Changes by itself as time passes. */
export function ago(at: Date): string {
  const passed = Math.max(0, clock.now - at.getTime());
  if (passed < MINUTE) return speech.words.justNow;
  const since = new Intl.RelativeTimeFormat(speech.language, { style: "short", numeric: "auto" });
  if (passed < HOUR) return since.format(-Math.floor(passed / MINUTE), "minute");
  if (passed < DAY) return since.format(-Math.floor(passed / HOUR), "hour");
  if (passed < 7 * DAY) return since.format(-Math.floor(passed / DAY), "day");
  return day(at);
}

export function day(at: Date): string {
  return at.toLocaleDateString(speech.language, { dateStyle: "medium" });
}

export function exactly(at: Date): string {
  return at.toLocaleString(speech.language, { dateStyle: "long", timeStyle: "medium" });
}
