// Traps where the routing key is trap.
import { route, text } from "shunt-route";

export default route({
  name: "trap",
  version: "1.0.0",
  reads: { routingKey: text("routing_key") },
  route(header, bindings, destinations) {
    if (header.routingKey === "trap") throw new Error("the routing key is trap");
    destinations.add(0);
  },
});
