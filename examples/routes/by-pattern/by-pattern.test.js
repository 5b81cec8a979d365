import assert from "node:assert/strict";
import { test } from "node:test";
import { Declared } from "shunt-route/testing";
import byPattern from "./by-pattern.js";

test("the whole key has to fit", () => {
  const exchange = new Declared(byPattern);
  exchange.bindQueue("numbers", "\\d+");
  exchange.bindQueue("either", "a|b");
  assert.deepEqual(exchange.route({ routing_key: "42" }), ["numbers"]);
  assert.deepEqual(exchange.route({ routing_key: "42x" }), []);
  assert.deepEqual(exchange.route({ routing_key: "b" }), ["either"]);
  assert.deepEqual(exchange.route({ routing_key: "bc" }), []);
  assert.throws(() => exchange.bindQueue("x", "("), /the key is no pattern/);
});
