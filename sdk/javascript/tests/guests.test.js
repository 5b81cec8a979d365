import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Decimal, Double, Refusal, Table, Timestamp, equal, log, nowMs, route, stateText, text, utf8 } from "shunt-route";
import { Declared, HostStub } from "shunt-route/testing";

const guest = async (name) => (await import(`../guests/${name}.js`)).default;
const conformance = (name) =>
  JSON.parse(readFileSync(new URL(`../../conformance/${name}.json`, import.meta.url)));

for (const name of ["fixed", "hash"]) {
  test(`${name} does what the contract's data says`, async () => {
    const made = await guest(name);
    const { describe, exchanges } = conformance(name);
    assert.deepEqual(made.description, describe);
    for (const exchange of exchanges) {
      const declared = new Declared(made, exchange.arguments);
      const bind = (bindings) => bindings.forEach(([kind, to, key, args]) =>
        kind === "queue" ? declared.bindQueue(to, key, args) : declared.bindExchange(to, key, args));
      bind(exchange.bindings);
      for (const one of exchange.cases) {
        if (one.bind) bind(one.bind);
        else if (one.queues) assert.deepEqual(declared.route(one.header), one.queues, one.name);
        else if (one.failure.cause === "bad-answer") assert.throws(() => declared.route(one.header), RangeError);
      }
    }
  });
}

test("by-header compares type and value", async () => {
  const declared = new Declared(await guest("by-header"));
  const values = [undefined, true, 0, 1, 1n << 60n, new Double(1), 2.5, "1", new Uint8Array([49]),
    new Timestamp(1), new Decimal(2, 12345), [1, "two", [3.5, null]], { a: 1, b: { c: "d" } }, [], {}];
  values.forEach((value, index) => declared.bindQueue(`q${index}`, "", { value }));
  values.forEach((value, index) => assert.deepEqual(declared.route({ "headers.value": value }), [`q${index}`]));
  assert.deepEqual(declared.route({ "headers.value": { a: 1, b: { c: "e" } } }), []);
  assert.equal(equal(new Table([["a", 1]]), new Table([["b", 1]])), false);
});

test("reasons reach the client", async () => {
  const refuse = await guest("refuse");
  assert.throws(() => new Declared(refuse, { "x-refuse": "not this" }), new Refusal("not this"));
  assert.throws(() => new Declared(refuse, { "x-refuse": true }), new Refusal("x-refuse is not a string"));
  const declared = new Declared(refuse);
  assert.throws(() => declared.bindQueue("a", "refuse"), new Refusal("the key is refuse"));
  assert.throws(() => declared.route({ "headers.reason": "größe" }), new Refusal("größe"));
  assert.throws(() => declared.route({ "headers.reason": 7 }), new Refusal("headers.reason is not a string"));
  assert.throws(() => declared.route({ "headers.reason": "" }), new Refusal(""));
});

test("what is missing is refused by name, and another error is none of the route's reasons", async () => {
  const declared = new Declared(route({
    name: "needs", version: "1", reads: { region: text("headers.region") }, route() {},
  }));
  assert.throws(() => declared.route(), new Refusal("headers.region is missing"));
  const trap = new Declared(await guest("trap"));
  assert.throws(() => trap.route({ routing_key: "trap" }), { name: "Error" });
});

test("capabilities are the host's, and only those that are wanted", async () => {
  const host = new HostStub();
  const declared = new Declared(await guest("capabilities"), {}, host);
  for (const queue of ["a", "b", "c"]) declared.bindQueue(queue);
  host.nowMs = 1_700_000_000_000;
  host.loads = [[2, 0, 0], [1, 0, 0], [3, 0, 0]];
  const routed = (key) => declared.route({ routing_key: key })[0];
  const keys = ["clock", "random", "log", "load", "state", "state", "state-remove", "state", "state-long"];
  assert.deepEqual(keys.map(routed), ["a", "a", "a", "b", "a", "b", "a", "a", "a"]);
  assert.deepEqual(host.log, [["warn", "a line of the guest: größe"]]);
  const without = new Declared(route({ name: "n", version: "1", route: () => nowMs() }));
  assert.throws(() => without.route(), /the capability clock is not in the route's wants/);
});

test("each instance has what it keeps in this", () => {
  const counting = route({
    name: "counting", version: "1",
    configure(exchange) { this.text = exchange.arguments.text("x-text"); },
    route(header, bindings, destinations) { destinations.addQueue(this.text); },
  });
  const [a, b] = ["a", "b"].map((text) => new Declared(counting, { "x-text": text }));
  assert.deepEqual([a.route(), b.route()], [["a"], ["b"]]);
});

test("a definition that is none is told what it lacks", () => {
  assert.throws(() => route({ name: "n", version: "1" }), /a function route/);
  assert.throws(() => route({ name: "n", route() {} }), /a name and a version/);
  assert.throws(() => route({ name: "n", version: "1", reads: { region: "headers.region" }, route() {} }), /reads.region is no field/);
  assert.throws(() => log("loud", "x"), /no level loud/);
});

test("text and UTF-8", () => {
  const host = new HostStub();
  const declared = new Declared(route({
    name: "n", version: "1", wants: ["state"],
    route(header, bindings, destinations) { destinations.addQueue(stateText("k")); },
  }), {}, host);
  for (const text of ["größe", "寸法", "📏", "a%20"]) {
    host.state.set("k", utf8(text));
    assert.deepEqual(declared.route(), [text]);
    assert.deepEqual(Buffer.from(utf8(text)), Buffer.from(text));
  }
});
