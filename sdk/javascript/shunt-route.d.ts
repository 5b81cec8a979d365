// Types of the SDK, for editors and for checks of routes: npx tsc --checkJs --noEmit by-region.js

/** A reason against a message, an exchange or a binding: throw it. */
export class Refusal extends Error {
  constructor(reason: string);
}

/** A float or a double: JavaScript's own numbers are integers here. */
export class Double {
  constructor(number: number);
  readonly number: number;
}

/** A point in time, in seconds since 1970. */
export class Timestamp {
  constructor(seconds: number);
  readonly seconds: number;
}

/** `digits` with `scale` of them behind the point. */
export class Decimal {
  constructor(scale: number, digits: number);
  readonly scale: number;
  readonly digits: number;
}

/** A value of AMQP. An integer beyond 2^53 is a bigint; what is absent is undefined. */
export type Value =
  | undefined | boolean | number | bigint | string | Uint8Array
  | Double | Timestamp | Decimal | Table | Value[];

/** A table of AMQP: arguments, or headers. */
export class Table implements Iterable<[string, Value]> {
  constructor(entries?: Iterable<[string, Value]>);
  get(name: string): Value;
  has(name: string): boolean;
  readonly size: number;
  [Symbol.iterator](): Iterator<[string, Value]>;
  text(name: string): string;
  integer(name: string): number;
  number(name: string): number;
  boolean(name: string): boolean;
  optionalText(name: string): string | undefined;
  optionalInteger(name: string): number | undefined;
  optionalNumber(name: string): number | undefined;
  optionalBoolean(name: string): boolean | undefined;
}

/** Whether two values are of the same type and value. */
export function equal(a: Value, b: Value): boolean;

/** The fields of the contract. */
export type FieldName =
  | "exchange" | "routing_key" | "routing_keys" | "body_size" | "user" | "vhost" | "headers"
  | "content_type" | "content_encoding" | "delivery_mode" | "priority" | "correlation_id"
  | "reply_to" | "expiration" | "message_id" | "timestamp" | "type" | "user_id" | "app_id"
  | `headers.${string}`;

/** A field that a route reads, with the type that it has then. */
export interface Field<T> {
  readonly name: FieldName;
  read(value: Value): T;
}

export function text(name: FieldName): Field<string>;
export function integer(name: FieldName): Field<number>;
export function number(name: FieldName): Field<number>;
export function boolean(name: FieldName): Field<boolean>;
export function bytes(name: FieldName): Field<Uint8Array>;
export function array(name: FieldName): Field<Value[]>;
export function table(name: FieldName): Field<Table>;
export function optionalText(name: FieldName): Field<string | undefined>;
export function optionalInteger(name: FieldName): Field<number | undefined>;
export function optionalNumber(name: FieldName): Field<number | undefined>;
export function optionalBoolean(name: FieldName): Field<boolean | undefined>;
export function optionalBytes(name: FieldName): Field<Uint8Array | undefined>;
export function optionalArray(name: FieldName): Field<Value[] | undefined>;
export function optionalTable(name: FieldName): Field<Table | undefined>;
export function anything(name: FieldName): Field<Value>;

/** A binding of the exchange. */
export interface Binding {
  /** Its place: what an answer says. */
  readonly index: number;
  readonly kind: "queue" | "exchange";
  readonly name: string;
  readonly key: string;
  readonly arguments: Table;
}

/** The exchange that a route decides for. */
export interface Exchange {
  readonly name: string;
  readonly vhost: string;
  readonly arguments: Table;
}

/** Where a message goes. */
export interface Destinations {
  /** To where the binding of that index leads. */
  add(index: number): void;
  /** To the queue of that name; only where the deployment allows it. */
  addQueue(name: string): void;
}

export type Capability = "clock" | "random" | "load" | "state";

type Fields = Record<string, Field<unknown>>;
type Header<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

export interface Definition<F extends Fields> {
  name: string;
  version: string;
  /** What the route reads of a message; it is handed nothing else. */
  reads?: F;
  wants?: Capability[];
  /** The exchange is declared. */
  configure?(this: any, exchange: Exchange): void;
  /** A binding is about to be stored. */
  checkBinding?(this: any, binding: Binding): void;
  /** The bindings have changed: prepare here. */
  bindings?(this: any, bindings: Binding[]): void;
  /** Decides about one message. */
  route(this: any, header: Header<F>, bindings: Binding[], destinations: Destinations): void;
}

/** Makes a route: the default export of its file. */
export function route<F extends Fields = {}>(definition: Definition<F>): unknown;

/** Writes a line to the route's log. */
export function log(level: "trace" | "debug" | "info" | "warn" | "error", line: string): void;
/** Unix milliseconds, the same within one call. Takes `clock`. */
export function nowMs(): number;
/** A random number from 0 up to 1, without 1. Takes `random`. */
export function random(): number;
/** How full the queue of a binding is; undefined where it leads to none. Takes `load`. */
export function queueLoad(index: number): { ready: number; unacked: number; consumers: number } | undefined;
/** The bytes that are kept under a key. Takes `state`, as do the next three. */
export function stateGet(key: string | Uint8Array): Uint8Array | undefined;
/** The same as text. */
export function stateText(key: string | Uint8Array): string | undefined;
/** Keeps a value; false where there is no room. An empty one removes the key. */
export function statePut(key: string | Uint8Array, value: string | Uint8Array): boolean;
export function stateRemove(key: string | Uint8Array): void;
/** The UTF-8 of a text. */
export function utf8(text: string): Uint8Array;
