// To the first x-first bindings, and to the queue x-queue.
import { Destinations, Exchange, Kind, Refusal, Route, register } from "../assembly";
export * from "../assembly/exports";

class Fixed extends Route {
  first: i64 = 1;
  queue: string = "";

  configure(exchange: Exchange): Refusal | null {
    const first = exchange.arguments.get("x-first");
    if (first.kind == Kind.Integer) this.first = first.integer;
    else if (first.kind != Kind.Absent) return new Refusal("x-first is not an integer");
    const queue = exchange.arguments.get("x-queue");
    if (queue.kind != Kind.Text && queue.kind != Kind.Absent) return new Refusal("x-queue is not a string");
    this.queue = queue.text;
    return null;
  }

  route(destinations: Destinations): Refusal | null {
    for (let index: i64 = 0; index < this.first; index++) destinations.add(<u32>index);
    if (this.queue.length > 0) destinations.addQueue(this.queue);
    return null;
  }
}

register("fixed", "1.0.0", () => new Fixed());
