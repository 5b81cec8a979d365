// The guests in Node.js. GUESTS names the folder of the compiled modules.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Declared, HostStub, Refused } from "../testing.mjs";

const guest = (name) => readFileSync(`${process.env.GUESTS ?? "build"}/${name}.wasm`);
const conformance = (name) =>
  JSON.parse(readFileSync(new URL(`../../conformance/${name}.json`, import.meta.url)));

for (const name of ["fixed", "hash"]) {
  test(`${name} does what the contract's data says`, () => {
    const file = conformance(name);
    for (const exchange of file.exchanges) {
      const declared = new Declared(guest(name), exchange.arguments);
      const { describe } = file;
      assert.deepEqual(declared.description, describe);
      const bind = (bindings) => bindings.forEach(([kind, queue, key, args]) =>
        kind === "queue" ? declared.bindQueue(queue, key, args) : declared.bindExchange(queue, key, args));
      bind(exchange.bindings);
      for (const one of exchange.cases) {
        if (one.bind) bind(one.bind);
        else if (one.queues) assert.deepEqual(declared.route(one.header), one.queues, one.name);
      }
    }
  });
}

test("reasons reach the client", () => {
  assert.throws(() => new Declared(guest("refuse"), { "x-refuse": "not this" }), new Refused("not this"));
  const declared = new Declared(guest("refuse"));
  assert.throws(() => declared.bindQueue("a", "refuse"), new Refused("the key is refuse"));
  assert.throws(() => declared.route({ "headers.reason": "größe" }), new Refused("größe"));
  assert.throws(() => declared.route({ "headers.reason": 7 }), new Refused("headers.reason is not a string"));
});

test("capabilities are the host's", () => {
  const host = new HostStub();
  const declared = new Declared(guest("capabilities"), {}, host);
  for (const queue of ["a", "b", "c"]) declared.bindQueue(queue);
  host.nowMs = 1_700_000_000_000n;
  host.loads = [[2, 0, 0], [1, 0, 0], [3, 0, 0]];
  const routed = (key) => declared.route({ routing_key: key })[0];
  const keys = ["clock", "random", "log", "load", "state", "state", "state-remove", "state", "state-long"];
  assert.deepEqual(keys.map(routed), ["a", "a", "a", "b", "a", "b", "a", "a", "a"]);
  assert.deepEqual(host.log, [[3, "a line of the guest: größe"]]);
});
