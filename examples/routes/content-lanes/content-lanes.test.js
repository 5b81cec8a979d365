import assert from "node:assert/strict";
import { test } from "node:test";
import { Declared } from "shunt-route/testing";
import contentLanes from "./content-lanes.js";

test("sizes and types", () => {
  const exchange = new Declared(contentLanes);
  exchange.bindQueue("images", "", { "content-type": "image/" });
  exchange.bindQueue("blobs", "", { "min-size": 1000 });
  exchange.bindQueue("rest", "default");
  const lanes = (content_type, body_size) => exchange.route({ content_type, body_size });
  assert.deepEqual(lanes("image/png; q=1", 1000), ["images", "blobs"]);
  assert.deepEqual(lanes("image/png", 999), ["images"]);
  assert.deepEqual(lanes(undefined, 5000), ["blobs"]);
  assert.deepEqual(lanes("image", 1), ["rest"]);
  assert.throws(() => exchange.bindQueue("x"), /a lane has/);
});
