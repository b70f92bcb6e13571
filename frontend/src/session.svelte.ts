/** Who is signed in on this page. */

import { call, enter, forget, isOver, onRenewal, renewToken } from "./rest";

type Me = { id: number; username: string };

class Session {
  me = $state<Me>();
  /** False until it is known whether somebody is signed in. */
  known = $state(false);
  #farewell: (() => void) | undefined;

  constructor() {
    onRenewal((token) => (token ? this.#is(token) : this.ended()));
  }

  /** Goes on with the session that the browser has, if there is one. Raises Refusal when that cannot be found out. */
  async resume(): Promise<void> {
    await renewToken().catch((refusal: unknown) => {
      if (!isOver(refusal)) throw refusal;
    });
  }

  async signIn(username: string, password: string): Promise<void> {
    this.#is(await enter("sign-in", { username, password }));
  }

  async signUp(form: { username: string; password: string; passwordConfirm: string; gender?: string }): Promise<void> {
    this.#is(await enter("sign-up", form));
  }

  /** Ends the session on the server, and with it every open stream of it. */
  async signOut(): Promise<void> {
    const { me } = this;
    await call<undefined>("POST", "/v1/auth/sign-out").catch((refusal: unknown) => {
      if (!isOver(refusal)) throw refusal; // it has ended already
    });
    if (this.me === me) this.ended(); // else somebody else's has begun meanwhile
  }

  /** Deletes the account with everything in it. Raises Refusal, also for a wrong password. */
  async leave(password: string): Promise<void> {
    const { me } = this;
    await call<undefined>("DELETE", "/v1/me", { password });
    if (this.me === me) this.ended();
  }

  /** What to do when this session ends, before its person is gone from the page. */
  onEnd(farewell: () => void): void {
    this.#farewell = farewell;
  }

  /** The session is over, whoever ended it. */
  ended(): void {
    const farewell = this.#farewell;
    this.#is(undefined);
    farewell?.();
  }

  /** The browser has another session than this page: nobody is shown until `resume` has found out whose. */
  doubt(): void {
    this.#is(undefined);
    this.known = false;
  }

  #is(token: { userId: number; username: string } | undefined): void {
    if (!token) forget();
    if (!token || token.userId !== this.me?.id) {
      this.#farewell = undefined;
      this.me = token && { id: token.userId, username: token.username };
    }
    this.known = true;
  }
}

export const session = new Session();
