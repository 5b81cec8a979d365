// All guests in one component, which is large: the exchange's argument x-guest says which it is.
import { anything, route } from "shunt-route";
import byHeader from "./by-header.js";
import capabilities from "./capabilities.js";
import endlessLoop from "./endless-loop.js";
import fixed from "./fixed.js";
import hash from "./hash.js";
import memoryEater from "./memory-eater.js";
import refuse from "./refuse.js";
import trap from "./trap.js";

const guests = [byHeader, capabilities, endlessLoop, fixed, hash, memoryEater, refuse, trap];

export default route({
  name: "all",
  version: "1.0.0",
  wants: ["clock", "random", "load", "state"],
  reads: {
    routing_key: anything("routing_key"),
    "headers.value": anything("headers.value"),
    "headers.reason": anything("headers.reason"),
  },
  configure(exchange) {
    const name = exchange.arguments.text("x-guest");
    this.guest = guests.find((guest) => guest.description.name === name);
    this.self = Object.create(this.guest.definition);
    this.self.configure?.(exchange);
  },
  checkBinding(binding) {
    this.self.checkBinding?.(binding);
  },
  route(header, bindings, destinations) {
    const own = this.guest.fields.map(([name, field]) => [name, field.read(header[field.name])]);
    this.self.route(Object.fromEntries(own), bindings, destinations);
  },
});
