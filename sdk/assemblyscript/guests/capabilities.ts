// Uses the capability that the routing key names.
import {
  Destinations, Level, Load, Refusal, Route, log, nowMs, queueLoad, random, register, stateGet,
  statePut, stateRemove, text,
} from "../assembly";
export * from "../assembly/exports";

const routingKey = text("routing_key");

class Capabilities extends Route {
  route(destinations: Destinations): Refusal | null {
    const index = this.chosen(routingKey.value);
    if (index < 0) return new Refusal("no such capability");
    destinations.add(index);
    return null;
  }

  private chosen(key: string): i32 {
    if (key == "log") {
      log(Level.Warn, "a line of the guest: größe");
      return 0;
    }
    if (key == "clock") {
      const now = nowMs();
      return i32(now < 1600000000000 || now != nowMs());
    }
    if (key == "random") return i32(random() == random());
    if (key == "load") return this.leastLoaded();
    if (key == "state") return count() % this.bound.length;
    if (key == "state-long") {
      const long = new Uint8Array(1000).fill(118);
      if (!statePut("long", long)) return 1;
      const kept = stateGet("long");
      return i32(kept === null || memory.compare(kept.dataStart, long.dataStart, 1000) != 0);
    }
    if (key == "state-remove") {
      stateRemove("count");
      return i32(stateGet("count") !== null);
    }
    return -1;
  }

  /** The first of those with the fewest messages ready. */
  private leastLoaded(): i32 {
    let found: i32 = -1;
    let least: i64 = 0;
    for (let i = 0; i < this.bound.length; i++) {
      const load = queueLoad(i, Load.Ready);
      if (load >= 0 && (found < 0 || load < least)) {
        found = i;
        least = load;
      }
    }
    return found;
  }
}

/** How often it was asked before, as one decimal digit. */
function count(): i32 {
  const kept = stateGet("count");
  const digit = kept === null ? 48 : kept[0];
  const next = new Uint8Array(1);
  next[0] = digit == 57 ? 48 : digit + 1;
  statePut("count", next);
  return digit - 48;
}

register("capabilities", "1.0.0", () => new Capabilities(), ["clock", "random", "load", "state"]);
