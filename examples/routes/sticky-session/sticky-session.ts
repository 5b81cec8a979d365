// Each session to one queue, and to another where nobody consumes from it: the recipe's README says
// how to use it.
import {
  Binding, BindingKind, Destinations, Level, Load, Refusal, Route, log, queueLoad, register, stateGet,
  statePut, text,
} from "../../../sdk/assemblyscript/assembly";
export * from "../../../sdk/assemblyscript/assembly/exports";

const session = text("headers.session");

class StickySession extends Route {
  /** By binding: the hash of its queue's name, to be mixed with that of a session. */
  seeds: u64[] = [];

  checkBinding(binding: Binding): Refusal | null {
    return binding.kind == BindingKind.Queue ? null : new Refusal("only a queue has consumers");
  }

  bindings(): Refusal | null {
    this.seeds = [];
    for (let i = 0; i < this.bound.length; i++) this.seeds.push(hash(this.bound[i].name));
    return null;
  }

  route(destinations: Destinations): Refusal | null {
    const before = this.remembered();
    if (before >= 0 && consumers(before) > 0) {
      destinations.add(before);
      return null;
    }
    const chosen = this.nearest();
    if (chosen < 0) return null;
    // Where nobody consumes from any queue, the session waits where it is.
    const stays = before >= 0 && consumers(chosen) == 0;
    const index = stays ? before : chosen;
    if (index != before && !statePut(session.value, Uint8Array.wrap(String.UTF8.encode(this.bound[index].name)))) {
      log(Level.Warn, "there is no room for one more session: see state_bytes");
    }
    destinations.add(index);
    return null;
  }

  /** The binding of the queue that the session had, -1 where it had none that is still bound. */
  private remembered(): i32 {
    const kept = stateGet(session.value);
    if (kept === null) return -1;
    const name = String.UTF8.decodeUnsafe(kept.dataStart, kept.length);
    for (let i = 0; i < this.bound.length; i++) {
      if (this.bound[i].name == name) return i;
    }
    return -1;
  }

  /** Rendezvous among the queues with consumers, or among all where none has: each draws a number
   * from its own name and the session, and the largest wins. */
  private nearest(): i32 {
    const key = hash(session.value);
    let found: i32 = -1;
    let best: u64 = 0;
    let isServed = false;
    for (let i = 0; i < this.bound.length; i++) {
      const serves = consumers(i) > 0;
      const draw = mix(this.seeds[i] ^ key);
      if (found < 0 || (serves && !isServed) || (serves == isServed && draw > best)) {
        found = i;
        best = draw;
        isServed = serves;
      }
    }
    return found;
  }
}

function consumers(index: i32): i64 {
  return queueLoad(index, Load.Consumers);
}

/** FNV-1a, then the finisher of SplitMix64. */
function hash(text: string): u64 {
  const bytes = Uint8Array.wrap(String.UTF8.encode(text));
  let sum: u64 = 0xcbf29ce484222325;
  for (let i = 0; i < bytes.length; i++) sum = (sum ^ bytes[i]) * 0x100000001b3;
  return mix(sum);
}

function mix(bits: u64): u64 {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return bits ^ (bits >> 31);
}

register("sticky-session", "1.0.0", () => new StickySession(), ["load", "state"]);
