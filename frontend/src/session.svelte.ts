/** Who is signed in on this page. */

import { call, enter, forget, Refusal, renewToken, type Token } from "./rest";

type Me = { id: number; username: string };

class Session {
  me = $state<Me>();
  /** False until it is known whether somebody is signed in. */
  known = $state(false);

  /** Goes on with the session of before a reload, if there is one. Raises Refusal when that cannot be found out. */
  async resume(): Promise<void> {
    try {
      this.#is(await renewToken());
    } catch (refusal) {
      if (!(refusal instanceof Refusal) || [0, 429].includes(refusal.status) || refusal.status >= 500) throw refusal;
      this.known = true;
    }
  }

  async signIn(username: string, password: string): Promise<void> {
    this.#is(await enter("sign-in", { username, password }));
  }

  async signUp(form: { username: string; password: string; passwordConfirm: string; gender?: string }): Promise<void> {
    this.#is(await enter("sign-up", form));
  }

  /** Ends the session on the server, and with it every open stream of it. */
  async signOut(): Promise<void> {
    try {
      await call<undefined>("POST", "/v1/auth/sign-out");
    } catch (refusal) {
      if (!(refusal instanceof Refusal) || refusal.status !== 401) throw refusal; // 401: it has ended already
    }
    this.ended();
  }

  /** Deletes the account with everything in it. Raises Refusal, also for a wrong password. */
  async leave(password: string): Promise<void> {
    await call<undefined>("DELETE", "/v1/me", { password });
    this.ended();
  }

  /** The session is over, whoever ended it. */
  ended(): void {
    forget();
    this.me = undefined;
  }

  #is(token: Token): void {
    this.me = { id: token.userId, username: token.username };
    this.known = true;
  }
}

export const session = new Session();
