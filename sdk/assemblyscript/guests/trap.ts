// Traps where the routing key is trap.
import { Destinations, Refusal, Route, register, text } from "../assembly";
export * from "../assembly/exports";

const routingKey = text("routing_key");

class Lethal extends Route {
  route(destinations: Destinations): Refusal | null {
    if (routingKey.value == "trap") {
      throw new Error("the routing key is trap");
    }
    destinations.add(0);
    return null;
  }
}

register("trap", "1.0.0", () => new Lethal());
