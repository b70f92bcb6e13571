/** Calls to the API. The access token lives in memory only; a reload gets a new one for the refresh cookie. */

import { words } from "./words/index.svelte";

export type Token = { token: string; userId: number; username: string; expires_at: number };

/** The API's no, in the page's words where it has any; code `offline` when it could not be asked. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field?: string,
  ) {
    super(message);
  }
}

const ANSWER_WITHIN = 15_000; // ms
const PUBLIC = ["/v1/auth/sign-up", "/v1/auth/sign-in", "/v1/auth/refresh"];
let held: Token | undefined;
let renewing: Promise<Token> | undefined;
let sessions = 0; // that have begun or ended here
let tell: (token: Token | undefined) => void = () => {};

/** `told` hears of every renewal: whose token it brought, which may be somebody else by now; undefined: the session is over. */
export function onRenewal(told: typeof tell): void {
  tell = told;
}

/** Forgets the access token. */
export function forget(): void {
  held = undefined;
  sessions++;
}

/** Calls the API as whoever is signed in. Renews the token once if it has ended. Never acts as anybody else. Raises Refusal. */
export async function call<T>(method: string, path: string, body?: object, headers = {}): Promise<T> {
  const mine = held;
  try {
    return await ask<T>(method, path, body, headers);
  } catch (refusal) {
    if (!mine || !isOver(refusal)) throw refusal;
    if ((await renewToken()).userId !== mine.userId) throw refusal;
    return await ask<T>(method, path, body, headers);
  }
}

/** Whether it says that no session stands behind the token. */
export function isOver(refusal: unknown): boolean {
  return refusal instanceof Refusal && refusal.status === 401;
}

/** Signs in or up: the answer is a token, which is kept. Raises Refusal. */
export async function enter(path: "sign-in" | "sign-up", body: object): Promise<Token> {
  held = await ask<Token>("POST", `/v1/auth/${path}`, body);
  sessions++;
  return held;
}

/**
 * A new token for the refresh cookie, which the whole browser shares: look whose it is. Several callers at a time share one
 * request, and tabs take turns.
 */
export function renewToken(): Promise<Token> {
  return (renewing ??= inTurn(renew).finally(() => (renewing = undefined)));
}

async function renew(): Promise<Token> {
  for (;;) {
    const before = sessions;
    const answer = await ask<Token>("POST", "/v1/auth/refresh").catch((refusal: unknown) => {
      if (refusal instanceof Refusal && isOver(refusal)) return refusal;
      throw refusal;
    });
    // It is about the cookie that there was before somebody signed in or out by hand: asked again, once for each time.
    if (before !== sessions) continue;
    held = answer instanceof Refusal ? undefined : answer;
    tell(held);
    if (answer instanceof Refusal) throw answer;
    return answer;
  }
}

/** Locks exist only where the page came over TLS or from this machine. */
async function inTurn(renew: () => Promise<Token>): Promise<Token> {
  return navigator.locks ? await navigator.locks.request("stickyfeed-refresh", renew) : await renew();
}

/** The same for this person's feed: null when their session is over. Rejects where the token is somebody else's. */
export async function tokenForFeed(user: number): Promise<string | null> {
  try {
    const { token, userId } = await renewToken();
    if (userId !== user) throw new Error("somebody else has signed in");
    return token;
  } catch (refusal) {
    if (isOver(refusal)) return null;
    throw refusal;
  }
}

async function ask<T>(method: string, path: string, body?: object, more = {}): Promise<T> {
  const headers = new Headers(more);
  if (held && !PUBLIC.includes(path)) headers.set("Authorization", `Bearer ${held.token}`);
  if (body) headers.set("Content-Type", "application/json");
  let answer: Response;
  try {
    const signal = AbortSignal.timeout(ANSWER_WITHIN);
    answer = await fetch(path, { method, headers, signal, body: body ? JSON.stringify(body) : null });
  } catch {
    throw new Refusal(0, "offline", words.refusals["offline"] ?? "");
  }
  const said: unknown = answer.status === 204 ? undefined : await answer.json().catch(() => undefined);
  if (answer.ok) return said as T;
  const { error = "failed", message, field } = (said ?? {}) as { error?: string; message?: string; field?: string };
  const told = words.refusals[`${error} ${field}`] ?? words.refusals[error];
  throw new Refusal(answer.status, error, told ?? message ?? `HTTP ${answer.status}`, field);
}
