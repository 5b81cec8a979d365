// Takes memory until there is none where the routing key is eat.
import { route, text } from "shunt-route";

export default route({
  name: "memory-eater",
  version: "1.0.0",
  reads: { routingKey: text("routing_key") },
  route(header, bindings, destinations) {
    const eaten = [];
    while (header.routingKey === "eat") eaten.push(new Uint8Array(1 << 20));
    destinations.add(0);
  },
});
