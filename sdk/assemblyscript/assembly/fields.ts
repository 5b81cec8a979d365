// The typed header: a route declares each field that it reads as a constant of its file, and finds
// the value of the message there while it routes.

import { Cursor } from "./cursor";
import { Refusal } from "./refusal";
import { Kind, Value } from "./value";

/** The fields that were declared, in the order of their values. */
export const declared: Field[] = [];

export abstract class Field {
  constructor(public name: string) {
    declared.push(this);
  }

  /** Takes the message's value. */
  abstract take(value: Value): Refusal | null;

  protected check(value: Value, kind: Kind, expected: string): Refusal | null {
    if (value.kind == kind) return null;
    if (value.kind == Kind.Absent) return new Refusal(this.name + " is missing");
    return new Refusal(this.name + " is not " + expected);
  }
}

export class TextField extends Field {
  value: string = "";
  take(value: Value): Refusal | null {
    this.value = value.text;
    return this.check(value, Kind.Text, "a string");
  }
}

export class OptionalTextField extends Field {
  value: string | null = null;
  take(value: Value): Refusal | null {
    this.value = value.kind == Kind.Text ? value.text : null;
    return value.kind == Kind.Absent ? null : this.check(value, Kind.Text, "a string");
  }
}

export class IntegerField extends Field {
  value: i64 = 0;
  take(value: Value): Refusal | null {
    this.value = value.integer;
    return this.check(value, Kind.Integer, "an integer");
  }
}

export class OptionalIntegerField extends Field {
  present: bool = false;
  value: i64 = 0;
  take(value: Value): Refusal | null {
    this.present = value.kind == Kind.Integer;
    this.value = value.integer;
    return value.kind == Kind.Absent ? null : this.check(value, Kind.Integer, "an integer");
  }
}

export class BooleanField extends Field {
  value: bool = false;
  take(value: Value): Refusal | null {
    this.value = value.boolean;
    return this.check(value, Kind.Boolean, "a boolean");
  }
}

export class NumberField extends Field {
  value: f64 = 0;
  take(value: Value): Refusal | null {
    this.value = value.kind == Kind.Integer ? <f64>value.integer : value.double;
    return value.kind == Kind.Integer ? null : this.check(value, Kind.Double, "a number");
  }
}

export class AnyField extends Field {
  value: Value = Value.ABSENT;
  take(value: Value): Refusal | null {
    this.value = value;
    return null;
  }
}

/** A string that must be there. */
export function text(name: string): TextField { return new TextField(name); }
/** A string; null where it is missing. */
export function optionalText(name: string): OptionalTextField { return new OptionalTextField(name); }
/** An integer that must be there. */
export function integer(name: string): IntegerField { return new IntegerField(name); }
/** An integer, which says whether it is there. */
export function optionalInteger(name: string): OptionalIntegerField { return new OptionalIntegerField(name); }
/** A boolean that must be there. */
export function boolean(name: string): BooleanField { return new BooleanField(name); }
/** A double or an integer that must be there. */
export function number(name: string): NumberField { return new NumberField(name); }
/** Whatever comes. */
export function anything(name: string): AnyField { return new AnyField(name); }

/** For the exports: reads the input of shunt_route into the fields. */
export function readFields(cursor: Cursor): Refusal | null {
  const count = <i32>cursor.enterArray();
  if (count != declared.length) return new Refusal("the host passed another number of fields");
  for (let i = 0; i < count; i++) {
    const refusal = unchecked(declared[i]).take(cursor.read());
    if (refusal) return refusal;
  }
  return null;
}
