// To the first x-first bindings, and to the queue x-queue.
import { route } from "shunt-route";

export default route({
  name: "fixed",
  version: "1.0.0",
  configure(exchange) {
    this.first = exchange.arguments.optionalInteger("x-first") ?? 1;
    this.queue = exchange.arguments.optionalText("x-queue");
  },
  route(header, bindings, destinations) {
    for (let index = 0; index < this.first; index++) destinations.add(index);
    if (this.queue !== undefined) destinations.addQueue(this.queue);
  },
});
