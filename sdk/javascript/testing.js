// Runs a route in Node.js, without a broker: declare its exchange, bind, and ask where messages go.
import { Double, Instance, Refusal, Table, engine } from "./shunt-route.js";

/** The host of a test: what it answers, and what it was told. */
export class HostStub {
  /** The clock, in Unix milliseconds. */
  nowMs = 0;
  seed = 1;
  /** By index: [ready, unacked, consumers]; what is not here is no queue. */
  loads = [];
  state = new Map();
  /** Level and line. */
  log = [];

  /** What a route that wants these capabilities may call. */
  functions(wants) {
    const needs = (capability, call) => (...values) => {
      if (!wants.includes(capability)) throw new TypeError(`the capability ${capability} is not in the route's wants`);
      return call(...values);
    };
    return {
      log: (level, line) => this.log.push([["trace", "debug", "info", "warn", "error"][level], line]),
      nowMs: needs("clock", () => this.nowMs),
      random: needs("random", () => (this.seed = (this.seed * 48271) % 2147483647) / 2147483647),
      queueLoad: needs("load", (index) => this.loads[index]),
      stateGet: needs("state", (key) => this.state.get(name(key))),
      statePut: needs("state", (key, value) => {
        const bytes = Buffer.from(value);
        if (bytes.length === 0) this.state.delete(name(key));
        else this.state.set(name(key), new Uint8Array(bytes));
        return true;
      }),
    };
  }
}

const name = (key) => Buffer.from(key).toString("latin1");

/** An exchange that a route serves. A refusal is thrown. */
export class Declared {
  #instance;
  #description;
  #bindings = [];
  #functions;

  /** `route` is the default export of its file. */
  constructor(route, args = {}, host = new HostStub()) {
    this.#description = route.description;
    this.#functions = host.functions(route.description.wants);
    this.#instance = new Instance(route);
    const exchange = { exchange: "tested", vhost: "/", arguments: value(args) };
    this.#accepted(this.#call("configure", exchange));
    this.#accepted(this.#call("bindings", []));
  }

  get description() { return this.#description; }

  bindQueue(queue, key = "", args = {}) { this.#bind(["queue", queue, key, value(args)]); }
  bindExchange(exchange, key = "", args = {}) { this.#bind(["exchange", exchange, key, value(args)]); }

  /** The names of the destinations, in the order of the route's answer. A header is an object of
   * fields by their names in the contract, such as "headers.region". */
  route(header = {}) {
    const always = { exchange: "tested", vhost: "/", user: "guest", routing_key: "", body_size: 0 };
    const fields = this.#description.reads.map((field) => value(header[field] ?? always[field]));
    const answer = this.#call("route", fields);
    if (!Array.isArray(answer)) throw new Refusal(answer);
    return answer.map((to) => {
      if (typeof to === "string") return to;
      if (to >= this.#bindings.length) throw new RangeError(`there is no binding with the index ${to}`);
      return this.#bindings[to][1];
    });
  }

  #bind(binding) {
    this.#accepted(this.#call("checkBinding", binding));
    this.#bindings.push(binding);
    this.#accepted(this.#call("bindings", this.#bindings));
  }

  #call(called, input) {
    engine.connect(this.#functions);
    return this.#instance[called](input);
  }

  #accepted(reason) {
    if (reason !== undefined) throw new Refusal(reason);
  }
}

// JavaScript's own values as AMQP's: a number with a fraction is a double, an object is a table.
function value(given) {
  if (given === null || given === undefined) return undefined;
  if (typeof given === "number" && !Number.isInteger(given)) return new Double(given);
  if (Array.isArray(given)) return given.map(value);
  if (Object.getPrototypeOf(given) !== Object.prototype) return given;
  return new Table(Object.entries(given).map(([key, one]) => [key, value(one)]));
}
