// Runs a compiled route in Node.js, without a broker: declare its exchange, bind, and ask where
// messages go. It works for every core module of the contract that imports no WASI.

/** What of AMQP JavaScript hasn't: wrap it for a field, a header or an argument. */
export class Timestamp { constructor(seconds) { this.seconds = BigInt(seconds); } }
export class Decimal { constructor(scale, digits) { this.scale = scale; this.digits = digits; } }
export class Double { constructor(number) { this.number = number; } }

/** The host of a test: what it answers, and what it was told. */
export class HostStub {
  nowMs = 0n;
  seed = 1n;
  /** By index: [ready, unacked, consumers]; what is not here is no queue. */
  loads = [];
  state = new Map();
  log = [];
}

export class Refused extends Error {}

/** An exchange that a route serves. */
export class Declared {
  #exports;
  #bindings = [];
  #reads;

  /** `wasm` are the module's bytes. A refusal is thrown as Refused. */
  constructor(wasm, args = {}, host = new HostStub()) {
    let memory;
    const text = (at, length) => new TextDecoder().decode(new Uint8Array(memory.buffer, at, length));
    const shunt = {
      log: (level, at, length) => host.log.push([level, text(at, length)]),
      now_ms: () => BigInt(host.nowMs),
      random: () => BigInt.asIntN(64, host.seed = BigInt.asUintN(64, host.seed * 6364136223846793005n + 1n)),
      queue_load: (index, what) => BigInt(host.loads[index]?.[what] ?? -1),
      state_get: (key, keyLength, out, capacity) => {
        const kept = host.state.get(text(key, keyLength));
        if (!kept) return -1;
        if (kept.length <= capacity) new Uint8Array(memory.buffer, out).set(kept);
        return kept.length;
      },
      state_put: (key, keyLength, value, length) => {
        if (length === 0) host.state.delete(text(key, keyLength));
        else host.state.set(text(key, keyLength), new Uint8Array(memory.buffer, value, length).slice());
        return 0;
      },
    };
    const env = { abort: () => { throw new Error("abort"); } };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(wasm), { shunt, env });
    this.#exports = instance.exports;
    memory = instance.exports.memory;
    instance.exports._initialize?.();
    this.description = decode(this.#bytes(this.#exports.shunt_describe()));
    this.#reads = this.description.reads;
    this.#accepted("shunt_configure", { exchange: "tested", vhost: "/", arguments: args });
    this.#accepted("shunt_bindings", []);
  }

  bindQueue(name, key = "", args = {}) { this.#bind(["queue", name, key, args]); }
  bindExchange(name, key = "", args = {}) { this.#bind(["exchange", name, key, args]); }

  /** The names of the destinations, in the order of the route's answer. A header is an object of
   * fields by their names in the contract, such as "headers.region". */
  route(header = {}) {
    const always = { exchange: "tested", vhost: "/", user: "guest", routing_key: "", body_size: 0 };
    const packed = this.#call("shunt_route", this.#reads.map((name) => header[name] ?? always[name] ?? null));
    if (packed < 0n) throw new Refused(this.#text(BigInt.asUintN(63, packed)));
    if (packed === 0n) return [];
    return decode(this.#bytes(packed)).map((to) => (typeof to === "string" ? to : this.#bindings[to]?.[1]));
  }

  #bind(binding) {
    this.#accepted("shunt_check_binding", binding);
    this.#bindings.push(binding);
    this.#accepted("shunt_bindings", this.#bindings);
  }

  #accepted(name, input) {
    const packed = this.#call(name, input);
    if (packed !== 0n) throw new Refused(this.#text(packed));
  }

  #call(name, input) {
    if (!this.#exports[name]) return 0n;
    const bytes = encode(input);
    const at = this.#exports.shunt_alloc(bytes.length);
    new Uint8Array(this.#exports.memory.buffer, at).set(bytes);
    return this.#exports[name](at, bytes.length);
  }

  #bytes(packed) {
    const bits = BigInt.asUintN(64, packed);
    return new Uint8Array(this.#exports.memory.buffer, Number(bits >> 32n), Number(bits & 0xffffffffn)).slice();
  }

  #text(packed) { return new TextDecoder().decode(this.#bytes(packed)); }
}

function encode(value) {
  const out = [];
  const head = (tag, number) => out.push(tag, ...[24, 16, 8, 0].map((shift) => (number >>> shift) & 255));
  const bits = (tag, set) => {
    const view = new DataView(new ArrayBuffer(8));
    set(view);
    out.push(...tag, ...new Uint8Array(view.buffer));
  };
  const text = (string) => {
    const bytes = new TextEncoder().encode(string);
    head(0xdb, bytes.length);
    for (const byte of bytes) out.push(byte);
  };
  const put = (value) => {
    if (value === null || value === undefined) out.push(0xc0);
    else if (typeof value === "boolean") out.push(value ? 0xc3 : 0xc2);
    else if (typeof value === "string") text(value);
    else if (typeof value === "bigint" || Number.isSafeInteger(value)) bits([0xd3], (view) => view.setBigInt64(0, BigInt(value)));
    else if (typeof value === "number") bits([0xcb], (view) => view.setFloat64(0, value));
    else if (value instanceof Double) bits([0xcb], (view) => view.setFloat64(0, value.number));
    else if (value instanceof Timestamp) bits([0xc7, 12, 0xff, 0, 0, 0, 0], (view) => view.setBigInt64(0, value.seconds));
    else if (value instanceof Decimal) { out.push(0xc7, 5, 1); head(value.scale, value.digits); }
    else if (value instanceof Uint8Array) { head(0xc6, value.length); for (const byte of value) out.push(byte); }
    else if (Array.isArray(value)) { head(0xdd, value.length); value.forEach(put); }
    else { const entries = Object.entries(value); head(0xdf, entries.length); for (const [name, one] of entries) { text(name); put(one); } }
  };
  put(value);
  return new Uint8Array(out);
}

// What a route answers: arrays, texts, numbers, and the table of a description.
function decode(bytes) {
  let at = 0;
  const number = (length) => { let sum = 0; while (length--) sum = sum * 256 + bytes[at++]; return sum; };
  const read = () => {
    const tag = bytes[at++];
    const text = (length) => new TextDecoder().decode(bytes.subarray(at, at += length));
    const array = (length) => Array.from({ length }, read);
    const table = (length) => Object.fromEntries(Array.from({ length }, () => [read(), read()]));
    if (tag < 0x80) return tag;
    if (tag < 0x90) return table(tag & 15);
    if (tag < 0xa0) return array(tag & 15);
    if (tag < 0xc0) return text(tag & 31);
    switch (tag) {
      case 0xcc: return number(1);
      case 0xcd: return number(2);
      case 0xce: return number(4);
      case 0xd9: return text(number(1));
      case 0xda: return text(number(2));
      case 0xdb: return text(number(4));
      case 0xdc: return array(number(2));
      case 0xdd: return array(number(4));
      case 0xde: return table(number(2));
      case 0xdf: return table(number(4));
      default: throw new Error(`the answer has the byte ${tag}`);
    }
  };
  return read();
}
