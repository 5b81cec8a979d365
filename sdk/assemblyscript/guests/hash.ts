// To one binding, by FNV-1a of the routing key.
import { Destinations, Refusal, Route, register, text } from "../assembly";
export * from "../assembly/exports";

const routingKey = text("routing_key");

class Hash extends Route {
  route(destinations: Destinations): Refusal | null {
    if (this.bound.length > 0) destinations.add(<u32>(fnv1a(routingKey.value) % this.bound.length));
    return null;
  }
}

function fnv1a(text: string): u64 {
  const bytes = Uint8Array.wrap(String.UTF8.encode(text));
  let hash: u64 = 0xcbf29ce484222325;
  for (let i = 0; i < bytes.length; i++) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}

register("hash", "1.0.0", () => new Hash());
