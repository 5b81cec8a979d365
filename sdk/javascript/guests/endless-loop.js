// Never ends where the routing key is loop.
import { route, text } from "shunt-route";

export default route({
  name: "endless-loop",
  version: "1.0.0",
  reads: { routingKey: text("routing_key") },
  route(header, bindings, destinations) {
    while (header.routingKey === "loop") {}
    destinations.add(0);
  },
});
