// What a route answers.

/** Where a message goes; none at all makes it unroutable. */
export class Destinations {
  private bytes: Uint8Array = new Uint8Array(256);
  private length: i32 = HEAD;
  private count: u32 = 0;

  /** Adds what the binding of this index leads to. */
  add(index: u32): void {
    this.count++;
    if (index < 0x80) {
      const at = this.reserve(1);
      store<u8>(at, <u8>index);
    } else {
      this.tagged(0xce, index, 0);
    }
  }

  /** Adds a queue by its name, which the host takes only from a route that was deployed with the
   * right to reach any queue. */
  addQueue(name: string): void {
    this.count++;
    const length = String.UTF8.byteLength(name);
    const at = this.tagged(0xdb, length, length);
    String.UTF8.encodeUnsafe(changetype<usize>(name), name.length, at);
  }

  /** For the exports. */
  clear(): void {
    this.length = HEAD;
    this.count = 0;
  }

  /** For the exports: the packed answer, 0 where there is no destination. */
  finish(): i64 {
    if (this.count == 0) return 0;
    const start = this.bytes.dataStart;
    store<u8>(start, 0xdd);
    store<u32>(start + 1, bswap<u32>(this.count));
    return (<i64>start << 32) | this.length;
  }

  /** A tag with its number; answers the place of the bytes behind them. */
  private tagged(tag: u8, number: u32, more: i32): usize {
    const at = this.reserve(5 + more);
    store<u8>(at, tag);
    store<u32>(at + 1, bswap<u32>(number));
    return at + 5;
  }

  private reserve(more: i32): usize {
    const start = this.length;
    this.length += more;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(max(this.length, 2 * this.bytes.length));
      memory.copy(grown.dataStart, this.bytes.dataStart, start);
      this.bytes = grown;
    }
    return this.bytes.dataStart + start;
  }
}

/** Room for the head of the answer, which is known last. */
const HEAD: i32 = 5;
