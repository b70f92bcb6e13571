/** What has been taken out: an answer of a server that lags may still hold it. */

const REMEMBERED = 2_000; // of each kind; a server lags by minutes at most, and nobody sees so many go in that time

export class Gone extends Set<number> {
  override add(id: number): this {
    super.add(id);
    if (this.size > REMEMBERED) this.delete(this.values().next().value as number);
    return this;
  }
}
