// MessagePack to values.
//
//   00-7f positive fixint   80-8f fixmap   90-9f fixarray   a0-bf fixstr   c0 nil   c2 c3 bool
//   c4 c5 c6 bin 8 16 32    c7 c8 c9 ext 8 16 32   ca cb float 32 64
//   cc cd ce cf uint        d0 d1 d2 d3 int        d4 d5 d6 d7 d8 fixext 1 2 4 8 16
//   d9 da db str 8 16 32    dc dd array 16 32      de df map 16 32   e0-ff negative fixint

import { Entry, Kind, Table, Value } from "./value";

/** A place in MessagePack, moved forward value by value. What is no MessagePack is a trap: a
 * host that keeps the contract never sends it. */
export class Cursor {
  constructor(public at: usize, public end: usize) {}

  private take(length: usize): usize {
    const start = this.at;
    assert(length <= this.end - start, "the host's input is not what the contract says");
    this.at = start + length;
    return start;
  }

  /** An unsigned number of 1 << log bytes. */
  private count(log: u32): u64 {
    const at = this.take(<usize>1 << log);
    switch (log) {
      case 0: return load<u8>(at);
      case 1: return bswap<u16>(load<u16>(at));
      case 2: return bswap<u32>(load<u32>(at));
      default: return bswap<u64>(load<u64>(at));
    }
  }

  /** Reads the next value if it is nil, and says whether it was. */
  skipNil(): bool {
    if (this.at < this.end && load<u8>(this.at) == 0xc0) {
      this.at++;
      return true;
    }
    return false;
  }

  /** Reads the start of an array and answers how many values follow. */
  enterArray(): u32 {
    const tag = <u32>this.count(0);
    if (tag >= 0x90 && tag <= 0x9f) return tag & 15;
    assert(tag == 0xdc || tag == 0xdd, "the host's input is not what the contract says");
    return <u32>this.count(tag - 0xdb);
  }

  /** Reads the next value, with all that is nested in it. */
  read(): Value {
    const tag = <u32>this.count(0);
    if (tag <= 0x7f || tag >= 0xe0) return integer(<i8>tag);
    if (tag >= 0xa0 && tag <= 0xbf) return this.text(tag & 31);
    if (tag >= 0x90 && tag <= 0x9f) return this.array(tag & 15);
    if (tag <= 0x8f) return this.table(tag & 15);
    switch (tag) {
      case 0xc0: return Value.ABSENT;
      case 0xc2:
      case 0xc3: {
        const value = new Value(Kind.Boolean);
        value.boolean = tag == 0xc3;
        return value;
      }
      case 0xc4:
      case 0xc5:
      case 0xc6: {
        const length = <i32>this.count(tag - 0xc4);
        const value = new Value(Kind.Bytes);
        const start = this.take(length);
        value.bytes = new Uint8Array(length);
        memory.copy(value.bytes.dataStart, start, length);
        return value;
      }
      case 0xc7:
      case 0xc8:
      case 0xc9: return this.extension(<u32>this.count(tag - 0xc7));
      case 0xca: return double(<f64>reinterpret<f32>(<u32>this.count(2)));
      case 0xcb: return double(reinterpret<f64>(this.count(3)));
      case 0xcc:
      case 0xcd:
      case 0xce:
      case 0xcf: {
        const value = integer(<i64>this.count(tag - 0xcc));
        if (value.integer < 0) value.kind = Kind.Unsigned;
        return value;
      }
      case 0xd0: return integer(<i8>this.count(0));
      case 0xd1: return integer(<i16>this.count(1));
      case 0xd2: return integer(<i32>this.count(2));
      case 0xd3: return integer(<i64>this.count(3));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8: return this.extension(1 << (tag - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb: return this.text(<u32>this.count(tag - 0xd9));
      case 0xdc:
      case 0xdd: return this.array(<u32>this.count(tag - 0xdb));
      case 0xde:
      case 0xdf: return this.table(<u32>this.count(tag - 0xdd));
      default: return unreachable();
    }
  }

  private text(length: u32): Value {
    const value = new Value(Kind.Text);
    value.text = String.UTF8.decodeUnsafe(this.take(length), length);
    return value;
  }

  private array(count: u32): Value {
    assert(count <= <u32>(this.end - this.at), "the host's input is not what the contract says");
    const value = new Value(Kind.Array);
    const items = new Array<Value>(0);
    for (let i: u32 = 0; i < count; i++) items.push(this.read());
    value.array = items;
    return value;
  }

  private table(count: u32): Value {
    assert(count <= <u32>(this.end - this.at), "the host's input is not what the contract says");
    const value = new Value(Kind.Table);
    const entries = new Array<Entry>(0);
    for (let i: u32 = 0; i < count; i++) {
      const name = this.read();
      assert(name.kind == Kind.Text, "the host's input is not what the contract says");
      entries.push(new Entry(name.text, this.read()));
    }
    value.table = new Table(entries);
    return value;
  }

  /** A timestamp is of type -1, in 4, 8 or 12 bytes; a decimal is of type 1. */
  private extension(length: u32): Value {
    const kind = <u32>this.count(0);
    if (kind == 0xff) {
      const value = new Value(Kind.Timestamp);
      if (length == 4) value.integer = <i64>this.count(2);
      else if (length == 8) value.integer = <i64>(this.count(3) & 0x3ffffffff);
      else {
        assert(length == 12, "the host's input is not what the contract says");
        this.take(4);
        value.integer = <i64>this.count(3);
      }
      return value;
    }
    assert(kind == 1 && length == 5, "the host's input is not what the contract says");
    const value = new Value(Kind.Decimal);
    value.scale = <u8>this.count(0);
    value.integer = <i32>this.count(2);
    return value;
  }
}

function integer(number: i64): Value {
  const value = new Value(Kind.Integer);
  value.integer = number;
  return value;
}

function double(number: f64): Value {
  const value = new Value(Kind.Double);
  value.double = number;
  return value;
}
