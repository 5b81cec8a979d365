// Values of fields and arguments.

export enum Kind {
  /** Not there, or AMQP's void. */
  Absent,
  Boolean,
  Integer,
  /** An integer that only 64 bits without a sign hold. */
  Unsigned,
  Double,
  /** A long string; one that isn't UTF-8 is Bytes. */
  Text,
  Bytes,
  Array,
  Table,
  /** Seconds since the Unix epoch. */
  Timestamp,
  Decimal,
}

/** A name with its value. */
export class Entry {
  constructor(public name: string, public value: Value) {}
}

/** A field table, in the order in which it came. */
export class Table {
  constructor(public entries: Entry[]) {}

  /** The value of a name, absent where there is none. */
  get(name: string): Value {
    for (let i = 0; i < this.entries.length; i++) {
      const entry = unchecked(this.entries[i]);
      if (entry.name == name) return entry.value;
    }
    return Value.ABSENT;
  }
}

const NO_BYTES = new Uint8Array(0);

/** A value: its kind says which of its parts counts. */
export class Value {
  boolean: bool = false;
  /** Of an integer, and of a timestamp; the digits of a decimal; the bits of an unsigned. */
  integer: i64 = 0;
  /** How many digits of a decimal are behind the point. */
  scale: u8 = 0;
  double: f64 = 0;
  text: string = "";
  bytes: Uint8Array = NO_BYTES;
  array: Value[] | null = null;
  table: Table | null = null;

  constructor(public kind: Kind) {}

  static ABSENT: Value = new Value(Kind.Absent);

  /** Whether both are of one kind and equal; tables are where their entries are, in their order. */
  equals(other: Value): bool {
    if (this.kind != other.kind) return false;
    switch (this.kind) {
      case Kind.Absent: return true;
      case Kind.Boolean: return this.boolean == other.boolean;
      case Kind.Double: return this.double == other.double;
      case Kind.Text: return this.text == other.text;
      case Kind.Bytes: return equalBytes(this.bytes, other.bytes);
      case Kind.Array: return equalArrays(this.array!, other.array!);
      case Kind.Table: return equalTables(this.table!.entries, other.table!.entries);
      default: return this.integer == other.integer && this.scale == other.scale;
    }
  }
}

function equalBytes(one: Uint8Array, other: Uint8Array): bool {
  if (one.length != other.length) return false;
  return memory.compare(one.dataStart, other.dataStart, one.length) == 0;
}

function equalArrays(one: Value[], other: Value[]): bool {
  if (one.length != other.length) return false;
  for (let i = 0; i < one.length; i++) {
    if (!one[i].equals(other[i])) return false;
  }
  return true;
}

function equalTables(one: Entry[], other: Entry[]): bool {
  if (one.length != other.length) return false;
  for (let i = 0; i < one.length; i++) {
    if (one[i].name != other[i].name || !one[i].value.equals(other[i].value)) return false;
  }
  return true;
}
