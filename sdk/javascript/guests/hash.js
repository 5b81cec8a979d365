// To one binding, by FNV-1a of the routing key.
import { route, text, utf8 } from "shunt-route";

export default route({
  name: "hash",
  version: "1.0.0",
  reads: { routingKey: text("routing_key") },
  route(header, bindings, destinations) {
    if (bindings.length > 0) destinations.add(Number(fnv1a(utf8(header.routingKey)) % BigInt(bindings.length)));
  },
});

function fnv1a(bytes) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}
