// Uses the capability that the routing key names.
import {
  Refusal, log, nowMs, queueLoad, random, route, stateGet, statePut, stateRemove, stateText, text,
} from "shunt-route";

export default route({
  name: "capabilities",
  version: "1.0.0",
  wants: ["clock", "random", "load", "state"],
  reads: { routingKey: text("routing_key") },
  route(header, bindings, destinations) {
    const chosen = USES[header.routingKey];
    if (!chosen) throw new Refusal("no such capability");
    destinations.add(Number(chosen(bindings)));
  },
});

const USES = {
  log() {
    log("warn", "a line of the guest: größe");
    return 0;
  },
  clock() {
    const now = nowMs();
    return now < 1600000000000 || now !== nowMs();
  },
  random: () => random() === random(),
  load: leastLoaded,
  state: (bindings) => count() % bindings.length,
  "state-long": () => {
    const long = "v".repeat(1000);
    return !statePut("long", long) || stateText("long") !== long;
  },
  "state-remove": () => {
    stateRemove("count");
    return stateGet("count") !== undefined;
  },
};

/** The first of those with the fewest messages ready. */
function leastLoaded(bindings) {
  let found, least;
  for (const { index } of bindings) {
    const load = queueLoad(index);
    if (load && (least === undefined || load.ready < least)) [found, least] = [index, load.ready];
  }
  return found;
}

/** How often it was asked before, as one decimal digit. */
function count() {
  const digit = Number(stateText("count") ?? 0);
  statePut("count", String((digit + 1) % 10));
  return digit;
}
