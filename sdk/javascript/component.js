// A route as a component: what componentize-js wants, over what a route is. The build puts the
// route in the place of shunt-built-route, and the imports of the contract beside it.
import { functions } from "./shunt-built-imports.js";
import made from "./shunt-built-route.js";
import { Decimal, Double, Instance, Table, Timestamp, engine } from "./shunt-route.js";

engine.connect(functions);
const instance = new Instance(made);

/** Nested values travel as MessagePack. */
function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const number = (length) => {
    let sum = 0;
    for (let i = 0; i < length; i++) sum = sum * 256 + bytes[at++];
    return sum;
  };
  const wide = (big) => {
    at += 8;
    return BigInt(Number(big)) === big && Number.isSafeInteger(Number(big)) ? Number(big) : big;
  };
  const text = (length) => new TextDecoder().decode(bytes.subarray(at, (at += length)));
  const array = (length) => Array.from({ length }, value);
  const table = (length) => new Table(Array.from({ length }, () => [value(), value()]));
  const extension = (length) => {
    const kind = bytes[at++];
    const start = at;
    at += length;
    if (kind === 1) return new Decimal(bytes[start], view.getInt32(start + 1));
    if (length === 4) return new Timestamp(view.getUint32(start));
    if (length === 8) return new Timestamp(Number(view.getBigUint64(start) & 0x3ffffffffn));
    return new Timestamp(Number(view.getBigInt64(start + 4)));
  };
  function value() {
    const tag = bytes[at++];
    if (tag < 0x80) return tag;
    if (tag < 0x90) return table(tag & 15);
    if (tag < 0xa0) return array(tag & 15);
    if (tag < 0xc0) return text(tag & 31);
    if (tag >= 0xe0) return tag - 256;
    switch (tag) {
      case 0xc0: return undefined;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: {
        const length = number(1 << (tag - 0xc4));
        return bytes.slice(at, (at += length));
      }
      case 0xc7: case 0xc8: case 0xc9: return extension(number(1 << (tag - 0xc7)));
      case 0xca: at += 4; return new Double(view.getFloat32(at - 4));
      case 0xcb: at += 8; return new Double(view.getFloat64(at - 8));
      case 0xcc: return number(1);
      case 0xcd: return number(2);
      case 0xce: return number(4);
      case 0xcf: return wide(view.getBigUint64(at));
      case 0xd0: return view.getInt8(at++);
      case 0xd1: at += 2; return view.getInt16(at - 2);
      case 0xd2: at += 4; return view.getInt32(at - 4);
      case 0xd3: return wide(view.getBigInt64(at));
      case 0xd9: case 0xda: case 0xdb: return text(number(1 << (tag - 0xd9)));
      case 0xdc: case 0xdd: return array(number(2 << (tag - 0xdc)));
      case 0xde: case 0xdf: return table(number(2 << (tag - 0xde)));
      default: return extension(1 << (tag - 0xd4));
    }
  }
  return value();
}

function valueOf({ tag, val }) {
  switch (tag) {
    case "absent": return undefined;
    case "integer": return Number.isSafeInteger(Number(val)) ? Number(val) : val;
    case "double": return new Double(val);
    case "timestamp": return new Timestamp(Number(val));
    case "nested": return decode(val);
    default: return val;
  }
}

const tableOf = (entries) => new Table(entries.map(([name, value]) => [name, valueOf(value)]));

const bindingOf = ({ kind, name, key, arguments: args }) => [kind, name, key, tableOf(args)];

// A text that is thrown out of here is a reason, an Error is a trap. The engine itself throws texts,
// when it is out of memory.
function asked(call) {
  try {
    return call();
  } catch (error) {
    throw error instanceof Error ? error : new Error(String(error));
  }
}

function told(call) {
  const reason = asked(call);
  if (reason !== undefined) throw reason;
}

export const describe = () => made.description;

export function configure({ name, vhost, arguments: args }) {
  told(() => instance.configure({ exchange: name, vhost, arguments: tableOf(args) }));
}

export function checkBinding(binding) {
  told(() => instance.checkBinding(bindingOf(binding)));
}

export function bindings(bindings) {
  told(() => instance.bindings(bindings.map(bindingOf)));
}

export function route(fields) {
  const chosen = asked(() => instance.route(fields.map(valueOf)));
  if (!Array.isArray(chosen)) throw chosen;
  return chosen.map((to) => (typeof to === "string" ? { tag: "queue", val: to } : { tag: "binding", val: to }));
}
