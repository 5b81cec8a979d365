// Never ends where the routing key is loop.
import { Destinations, Refusal, Route, register, text } from "../assembly";
export * from "../assembly/exports";

const routingKey = text("routing_key");

class Lethal extends Route {
  route(destinations: Destinations): Refusal | null {
    if (routingKey.value == "loop") {
      while (true) {}
    }
    destinations.add(0);
    return null;
  }
}

register("endless-loop", "1.0.0", () => new Lethal());
