/** What has failed and is still so. Each thing that is attempted speaks for itself: another one's success says nothing of it. */

const MOST = 10; // the oldest goes

export type Attempt = (doing: () => Promise<unknown>, about?: string) => Promise<boolean>;

export class Notices {
  #failed = $state.raw<ReadonlyMap<string, string>>(new Map());
  /** Each text once, however many things failed by the same. */
  readonly texts = $derived([...new Set(this.#failed.values())]);

  /** Whether it succeeded. If not, it is said until the same (`about` it) succeeds, or somebody closes it. */
  readonly attempt: Attempt = async (doing, about = "") => {
    try {
      await doing();
      this.#set([...this.#failed].filter(([one]) => one !== about));
      return true;
    } catch (refusal) {
      const others = [...this.#failed].filter(([one]) => one !== about);
      this.#set([...others, [about, (refusal as Error).message]]);
      return false;
    }
  };

  close(text: string): void {
    this.#set([...this.#failed].filter(([, said]) => said !== text));
  }

  #set(failed: (readonly [string, string])[]): void {
    this.#failed = new Map(failed.slice(-MOST));
  }
}
