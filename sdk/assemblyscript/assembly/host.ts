// What a route may ask of the host. All but `log` need a capability: among the last argument of
// `register`, and granted at deploy. A route has only the imports that it uses.

// @ts-ignore: decorator
@external("shunt", "log") declare function importLog(level: i32, text: usize, length: i32): void;
// @ts-ignore: decorator
@external("shunt", "now_ms") declare function importNowMs(): i64;
// @ts-ignore: decorator
@external("shunt", "random") declare function importRandom(): i64;
// @ts-ignore: decorator
@external("shunt", "queue_load") declare function importQueueLoad(index: i32, what: i32): i64;
// @ts-ignore: decorator
@external("shunt", "state_get") declare function importStateGet(key: usize, keyLength: i32, out: usize, capacity: i32): i32;
// @ts-ignore: decorator
@external("shunt", "state_put") declare function importStatePut(key: usize, keyLength: i32, value: usize, length: i32): i32;

export enum Level { Trace, Debug, Info, Warn, Error }
/** Messages that wait, messages that a consumer has and did not settle, consumers. */
export enum Load { Ready, Unacked, Consumers }

/** Writes a line to the broker's log; the host drops lines above the route's limit. */
export function log(level: Level, text: string): void {
  const bytes = String.UTF8.encode(text);
  importLog(level, changetype<usize>(bytes), bytes.byteLength);
}

/** Unix time in milliseconds, the same within one call. Needs `clock`. */
export function nowMs(): i64 { return importNowMs(); }

/** 64 random bits. Needs `random`. */
export function random(): u64 { return <u64>importRandom(); }

/** The load of the queue that a binding leads to, -1 where that is an exchange. Needs `load`. */
export function queueLoad(index: u32, what: Load): i64 { return importQueueLoad(index, what); }

/** What the broker keeps under a key, null where it keeps nothing. Needs `state`. */
export function stateGet(key: string): Uint8Array | null {
  const bytes = String.UTF8.encode(key);
  let out = new Uint8Array(64);
  while (true) {
    const length = importStateGet(changetype<usize>(bytes), bytes.byteLength, out.dataStart, out.length);
    if (length < 0) return null;
    if (length <= out.length) return out.subarray(0, length);
    // It may have changed when it is read again.
    out = new Uint8Array(length);
  }
}

/** Has the broker keep a value under a key; false where it keeps no more for this route. Needs
 * `state`. */
export function statePut(key: string, value: Uint8Array): bool {
  const bytes = String.UTF8.encode(key);
  return importStatePut(changetype<usize>(bytes), bytes.byteLength, value.dataStart, value.length) == 0;
}

/** Has the broker forget what it keeps under a key. Needs `state`. */
export function stateRemove(key: string): void {
  statePut(key, new Uint8Array(0));
}
