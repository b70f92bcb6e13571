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
let access = "";
let renewing: Promise<Token> | undefined;

/** Forgets the access token. */
export function forget(): void {
  access = "";
}

/** Calls the API as whoever is signed in. Renews the token once if it has ended. Raises Refusal. */
export async function call<T>(method: string, path: string, body?: object, headers = {}): Promise<T> {
  try {
    return await ask<T>(method, path, body, headers);
  } catch (refusal) {
    if (!access || !(refusal instanceof Refusal) || refusal.status !== 401) throw refusal;
    await renewToken();
    return await ask<T>(method, path, body, headers);
  }
}

/** Signs in or up: the answer is a token, which is kept. Raises Refusal. */
export async function enter(path: "sign-in" | "sign-up", body: object): Promise<Token> {
  return keep(await ask<Token>("POST", `/v1/auth/${path}`, body));
}

/** A new token for the refresh cookie. Several callers at a time share one request, and tabs take turns. */
export function renewToken(): Promise<Token> {
  const renew = async () => keep(await ask<Token>("POST", "/v1/auth/refresh"));
  return (renewing ??= inTurn(renew).finally(() => (renewing = undefined)));
}

/** Locks exist only where the page came over TLS or from this machine. */
async function inTurn(renew: () => Promise<Token>): Promise<Token> {
  return navigator.locks ? await navigator.locks.request("stickyfeed-refresh", renew) : await renew();
}

/** The same, as the feed client asks for it: null when the session is over. */
export async function tokenForFeed(): Promise<string | null> {
  try {
    return (await renewToken()).token;
  } catch (refusal) {
    if (refusal instanceof Refusal && refusal.status === 401) return null;
    throw refusal;
  }
}

function keep(token: Token): Token {
  access = token.token;
  return token;
}

async function ask<T>(method: string, path: string, body?: object, more = {}): Promise<T> {
  const headers = new Headers(more);
  if (access && !PUBLIC.includes(path)) headers.set("Authorization", `Bearer ${access}`);
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
