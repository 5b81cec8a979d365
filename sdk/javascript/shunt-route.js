// The SDK for routes in JavaScript. The broker has it built in, under the name "shunt-route"; in
// Node.js, and in a component, it is this file.

/** A reason against a message, an exchange or a binding: throw it. */
export class Refusal extends Error {
  constructor(reason) {
    super(reason);
    this.name = "Refusal";
  }
}

/** A float or a double: JavaScript's own numbers are integers here. */
export class Double {
  constructor(number) { this.number = number; }
  valueOf() { return this.number; }
}

/** A point in time, in seconds since 1970. */
export class Timestamp {
  constructor(seconds) { this.seconds = seconds; }
  valueOf() { return this.seconds; }
}

/** `digits` with so many of them behind the point. */
export class Decimal {
  constructor(scale, digits) {
    this.scale = scale;
    this.digits = digits;
  }
}

const integerOf = (value) => {
  if (typeof value === "bigint") return value;
  return typeof value === "number" && Number.isInteger(value) ? value : undefined;
};

const numberOf = (value) => {
  if (value instanceof Double) return value.number;
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : undefined;
};

// What a value may be read as: undefined where it is something else.
const KINDS = {
  text: ["a string", (value) => (typeof value === "string" ? value : undefined)],
  integer: ["an integer", integerOf],
  number: ["a number", numberOf],
  boolean: ["a boolean", (value) => (typeof value === "boolean" ? value : undefined)],
  bytes: ["a byte array", (value) => (value instanceof Uint8Array ? value : undefined)],
  array: ["an array", (value) => (Array.isArray(value) ? value : undefined)],
  table: ["a table", (value) => (value instanceof Table ? value : undefined)],
};

function read(kind, isOptional, name, value) {
  if (value === undefined) {
    if (isOptional) return undefined;
    throw new Refusal(`${name} is missing`);
  }
  const found = KINDS[kind][1](value);
  if (found === undefined) throw new Refusal(`${name} is not ${KINDS[kind][0]}`);
  return found;
}

/** A table of AMQP: arguments, or headers. */
export class Table {
  #entries;

  constructor(entries = []) { this.#entries = new Map(entries); }
  /** The value of that name, undefined where there is none. */
  get(name) { return this.#entries.get(name); }
  has(name) { return this.#entries.has(name); }
  get size() { return this.#entries.size; }
  [Symbol.iterator]() { return this.#entries[Symbol.iterator](); }
  /** The value as a string and so on; what is missing, or something else, is refused. */
  text(name) { return read("text", false, name, this.get(name)); }
  integer(name) { return read("integer", false, name, this.get(name)); }
  number(name) { return read("number", false, name, this.get(name)); }
  boolean(name) { return read("boolean", false, name, this.get(name)); }
  /** As above; undefined where there is none. */
  optionalText(name) { return read("text", true, name, this.get(name)); }
  optionalInteger(name) { return read("integer", true, name, this.get(name)); }
  optionalNumber(name) { return read("number", true, name, this.get(name)); }
  optionalBoolean(name) { return read("boolean", true, name, this.get(name)); }
}

/** Whether two values are of the same type and value. */
export function equal(a, b) {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a?.constructor !== b?.constructor) return false;
  if (a instanceof Double) return a.number === b.number;
  if (a instanceof Timestamp) return a.seconds === b.seconds;
  if (a instanceof Decimal) return a.scale === b.scale && a.digits === b.digits;
  if (a instanceof Table) return equal([...a], [...b]);
  return a.length === b.length && a.every((item, index) => equal(item, b[index]));
}

// A field that a route reads: its name in the contract, and what it must be.
class Field {
  constructor(name, kind, isOptional) {
    this.name = name;
    this.read = kind === undefined ? (value) => value : (value) => read(kind, isOptional, name, value);
  }
}

/** A field that must be there, and must be that. */
export const text = (name) => new Field(name, "text", false);
export const integer = (name) => new Field(name, "integer", false);
export const number = (name) => new Field(name, "number", false);
export const boolean = (name) => new Field(name, "boolean", false);
export const bytes = (name) => new Field(name, "bytes", false);
export const array = (name) => new Field(name, "array", false);
export const table = (name) => new Field(name, "table", false);
/** A field that is undefined where it isn't there. */
export const optionalText = (name) => new Field(name, "text", true);
export const optionalInteger = (name) => new Field(name, "integer", true);
export const optionalNumber = (name) => new Field(name, "number", true);
export const optionalBoolean = (name) => new Field(name, "boolean", true);
export const optionalBytes = (name) => new Field(name, "bytes", true);
export const optionalArray = (name) => new Field(name, "array", true);
export const optionalTable = (name) => new Field(name, "table", true);
/** A field of any type; undefined where it isn't there. */
export const anything = (name) => new Field(name);

/** Where a message goes. */
class Destinations {
  chosen = [];

  /** To where the binding of that index leads. */
  add(index) {
    if (!Number.isInteger(index) || index < 0 || index > 0xffffffff) throw new RangeError(`${String(index)} is no index`);
    this.chosen.push(index);
  }

  /** To the queue of that name; only where the deployment allows it. */
  addQueue(name) {
    if (typeof name !== "string") throw new TypeError("the name of a queue is a string");
    this.chosen.push(name);
  }
}

/** Makes a route of its description and functions: the default export of its file. */
export function route(definition) {
  const { name, version, reads = {}, wants = [] } = definition;
  if (typeof name !== "string" || typeof version !== "string") throw new TypeError("a route has a name and a version");
  if (typeof definition.route !== "function") throw new TypeError("a route has a function route");
  const fields = Object.entries(reads);
  const wrong = fields.find(([, field]) => !(field instanceof Field));
  if (wrong) throw new TypeError(`reads.${wrong[0]} is no field, such as text("headers.${wrong[0]}")`);
  return new Route(definition, fields, { name, version, reads: fields.map(([, field]) => field.name), wants: [...wants] });
}

class Route {
  constructor(definition, fields, description) {
    this.definition = definition;
    this.fields = fields;
    this.description = description;
  }
}

// --- what the broker gives ---

let host;

const LEVELS = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 };

/** Writes a line to the route's log. Levels: trace, debug, info, warn, error. */
export function log(level, line) {
  if (!(level in LEVELS)) throw new RangeError(`there is no level ${level}`);
  host.log(LEVELS[level], String(line));
}

/** Unix milliseconds, the same within one call. Takes the capability clock. */
export const nowMs = () => host.nowMs();

/** A random number from 0 up to 1, without 1. Takes the capability random. */
export const random = () => host.random();

/** How full the queue of a binding is: ready, unacked, consumers; undefined where the binding
 * leads to no queue. Takes the capability load. */
export function queueLoad(index) {
  const load = host.queueLoad(index);
  return load && { ready: load[0], unacked: load[1], consumers: load[2] };
}

/** The bytes that are kept under a key, undefined where there are none. Takes the capability
 * state, as do the next two. Keys and values are strings or byte arrays. */
export const stateGet = (key) => host.stateGet(key);

/** As text. */
export function stateText(key) {
  const kept = host.stateGet(key);
  return kept && fromUtf8(kept);
}

/** Keeps a value; false where there is no room, and nothing has changed. */
export const statePut = (key, value) => host.statePut(key, value);

export const stateRemove = (key) => { host.statePut(key, ""); };

function fromUtf8(bytes) {
  let percent = "";
  for (const byte of bytes) percent += `%${byte.toString(16).padStart(2, "0")}`;
  return decodeURIComponent(percent);
}

/** UTF-8 of a text. */
export function utf8(text) {
  const bytes = [];
  for (const letter of text) {
    const code = letter.codePointAt(0);
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    else bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return Uint8Array.from(bytes);
}

// --- for whoever runs a route: the broker, a component, a test ---

const refusable = (call) => {
  try {
    return call();
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
};

const bindingOf = ([kind, name, key, args], index) => ({ index, kind, name, key, arguments: args });

/** A route for one exchange. Each function answers the reason against what it is told, or
 * undefined; `route` answers an array of destinations, or a reason. */
export class Instance {
  #self;
  #fields;
  #bound = [];

  constructor(made) {
    if (!(made instanceof Route)) throw new TypeError("the default export is no route: export default route({ … })");
    // What a route keeps in `this` is this instance's.
    this.#self = Object.create(made.definition);
    this.#fields = made.fields;
  }

  configure({ exchange, vhost, arguments: args }) {
    return refusable(() => void this.#self.configure?.({ name: exchange, vhost, arguments: args }));
  }

  checkBinding(binding) {
    return refusable(() => void this.#self.checkBinding?.(bindingOf(binding)));
  }

  bindings(bindings) {
    this.#bound = bindings.map(bindingOf);
    return refusable(() => void this.#self.bindings?.(this.#bound));
  }

  route(values) {
    return refusable(() => {
      const header = {};
      const fields = this.#fields;
      for (let i = 0; i < fields.length; i++) header[fields[i][0]] = fields[i][1].read(values[i]);
      const destinations = new Destinations();
      this.#self.route(header, this.#bound, destinations);
      return destinations.chosen;
    });
  }
}

let instance;

/** What is called from outside. */
export const engine = {
  connect(functions) { host = functions; },
  make: (kind, a, b) => {
    switch (kind) {
      case 0: return new Double(a);
      case 1: return new Timestamp(a);
      case 2: return new Decimal(a, b);
      default: return new Table(Array.from({ length: a.length / 2 }, (_, i) => [a[2 * i], a[2 * i + 1]]));
    }
  },
  describe(module) {
    instance = new Instance(module.default);
    return module.default.description;
  },
  configure: (exchange) => instance.configure({
    exchange: exchange.get("exchange"), vhost: exchange.get("vhost"), arguments: exchange.get("arguments"),
  }),
  checkBinding: (binding) => instance.checkBinding(binding),
  bindings: (bindings) => instance.bindings(bindings),
  route: (...values) => instance.route(values),
};

if (globalThis.console === undefined) {
  const line = (level) => (...values) => host.log(level, values.map(String).join(" "));
  globalThis.console = { debug: line(1), log: line(2), info: line(2), warn: line(3), error: line(4) };
}
