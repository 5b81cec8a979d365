// The exports of a route module: a route's file says
//   export * from "shunt-route-as/assembly/exports";

import { Cursor } from "./cursor";
import { Destinations } from "./destinations";
import { declared, readFields } from "./fields";
import { Exchange, Refusal, Route, readBinding, registered } from "./route";

let live: Route | null = null;
/** Why messages can't be routed, as long as that is so. */
let unready: Refusal | null = null;
const destinations = new Destinations();
/** The last text or description: the host reads it after the call has returned. */
let said: ArrayBuffer = new ArrayBuffer(0);

export function shunt_abi(): i32 { return 1; }

/** Outside of what is collected, and never given back: the host may fill it again without
 * asking. */
export function shunt_alloc(length: i32): usize {
  return heap.alloc(max(length, 1024));
}

export function shunt_describe(): i64 {
  const route = registered!;
  const reads: string[] = [];
  for (let i = 0; i < declared.length; i++) reads.push(declared[i].name);
  const out: u8[] = [0x84];
  writeText(out, "name");
  writeText(out, route.name);
  writeText(out, "version");
  writeText(out, route.version);
  writeTexts(out, "reads", reads);
  writeTexts(out, "wants", route.wants);
  said = new ArrayBuffer(out.length);
  memory.copy(changetype<usize>(said), out.dataStart, out.length);
  return packed();
}

export function shunt_configure(address: usize, length: usize): i64 {
  live = null;
  unready = null;
  const input = new Cursor(address, address + length).read().table!;
  const exchange = new Exchange(
    input.get("exchange").text, input.get("vhost").text, input.get("arguments").table!,
  );
  const route = registered!.make();
  const refusal = route.configure(exchange);
  if (!refusal) live = route;
  return plain(refusal);
}

export function shunt_check_binding(address: usize, length: usize): i64 {
  const value = new Cursor(address, address + length).read();
  return plain(live!.checkBinding(readBinding(value, u32.MAX_VALUE)));
}

export function shunt_bindings(address: usize, length: usize): i64 {
  const values = new Cursor(address, address + length).read().array!;
  const route = live!;
  route.bound = [];
  for (let i = 0; i < values.length; i++) route.bound.push(readBinding(values[i], i));
  // A route that holds half of the bindings must not decide anything.
  unready = route.bindings();
  return plain(unready);
}

export function shunt_route(address: usize, length: usize): i64 {
  let refusal = unready;
  if (!refusal) refusal = readFields(new Cursor(address, address + length));
  destinations.clear();
  if (!refusal) refusal = live!.route(destinations);
  return refusal ? plain(refusal) | i64.MIN_VALUE : destinations.finish();
}

function plain(refusal: Refusal | null): i64 {
  if (!refusal) return 0;
  said = String.UTF8.encode(refusal.reason);
  return packed();
}

function packed(): i64 {
  return (<i64>changetype<usize>(said) << 32) | said.byteLength;
}

function writeText(out: u8[], text: string): void {
  const bytes = Uint8Array.wrap(String.UTF8.encode(text));
  writeHead(out, 0xdb, bytes.length);
  for (let i = 0; i < bytes.length; i++) out.push(bytes[i]);
}

function writeTexts(out: u8[], name: string, texts: string[]): void {
  writeText(out, name);
  writeHead(out, 0xdd, texts.length);
  for (let i = 0; i < texts.length; i++) writeText(out, texts[i]);
}

function writeHead(out: u8[], tag: u8, number: u32): void {
  out.push(tag);
  for (let shift = 24; shift >= 0; shift -= 8) out.push(<u8>(number >> shift));
}
