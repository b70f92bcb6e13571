/** The cursor over a page reload, one per user. A browser that keeps nothing costs a snapshot, not an error. */

const name = (user: string) => `feed cursor ${user}`;

export function keptCursor(user: string | undefined): string {
  return attempt(() => (user && localStorage.getItem(name(user))) || "") ?? "";
}

export function keepCursor(user: string | undefined, cursor: string): void {
  attempt(() => user && cursor && localStorage.setItem(name(user), cursor));
}

export function forgetCursor(user: string | undefined): void {
  attempt(() => user && localStorage.removeItem(name(user)));
}

function attempt<T>(doing: () => T): T | undefined {
  try {
    return doing();
  } catch {
    return undefined;
  }
}
