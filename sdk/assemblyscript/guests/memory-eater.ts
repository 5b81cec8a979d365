// Takes memory until there is none where the routing key is eat.
import { Destinations, Refusal, Route, register, text } from "../assembly";
export * from "../assembly/exports";

const routingKey = text("routing_key");

class Lethal extends Route {
  route(destinations: Destinations): Refusal | null {
    if (routingKey.value == "eat") {
      const eaten: Uint8Array[] = [];
      while (true) eaten.push(new Uint8Array(1 << 20));
    }
    destinations.add(0);
    return null;
  }
}

register("memory-eater", "1.0.0", () => new Lethal());
