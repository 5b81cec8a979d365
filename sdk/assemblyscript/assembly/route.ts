// What a route implements.

import { Destinations } from "./destinations";
import { Refusal } from "./refusal";
import { Table, Value } from "./value";

export { Refusal } from "./refusal";

/** What a route is declared for. */
export class Exchange {
  constructor(public name: string, public vhost: string, public arguments: Table) {}
}

export enum BindingKind { Queue, Exchange }

/** One binding of the exchange. */
export class Binding {
  constructor(
    /** Its place among the bindings: what a route answers. */
    public index: u32,
    public kind: BindingKind,
    /** Of the queue or of the exchange. */
    public name: string,
    public key: string,
    public arguments: Table,
  ) {}
}

/** A route. A value serves one exchange, one call at a time. The host makes as many instances as
 * it needs and may replace one at any time: what a value remembers of messages is a cache. */
export abstract class Route {
  /** The exchange's bindings, in the order of their indexes. */
  bound: Binding[] = [];

  /** The exchange is declared. A refusal is the client's 406. */
  configure(exchange: Exchange): Refusal | null { return null; }

  /** A binding is about to be stored. A refusal is the client's 406. */
  checkBinding(binding: Binding): Refusal | null { return null; }

  /** The bindings in `bound` have changed: what makes `route` fast is prepared here. */
  bindings(): Refusal | null { return null; }

  /** Each message. A refusal makes it a failed one, and an abort is a trap. */
  abstract route(destinations: Destinations): Refusal | null;
}

export class Registered {
  constructor(
    public name: string,
    public version: string,
    public make: () => Route,
    public wants: string[],
  ) {}
}

/** For the exports: the module's route. */
export let registered: Registered | null = null;

/** Makes a route the module's; called once, in its file. `make` is called for each exchange. */
export function register(name: string, version: string, make: () => Route, wants: string[] = []): void {
  registered = new Registered(name, version, make, wants);
}

/** For the exports. */
export function readBinding(value: Value, index: u32): Binding {
  const parts = value.array!;
  const kind = parts[0].text == "queue" ? BindingKind.Queue : BindingKind.Exchange;
  return new Binding(index, kind, parts[1].text, parts[2].text, parts[3].table!);
}
