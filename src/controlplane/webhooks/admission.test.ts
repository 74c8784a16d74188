import assert from "node:assert/strict";
import { test } from "node:test";
import { validate } from "./admission.ts";

const kind = { group: "gateway.networking.k8s.io", version: "v1", kind: "HTTPRoute" };

test("an object that its parser refuses is denied with every fault at its field", () => {
  const object = { metadata: { name: "r" }, spec: { hostnames: ["UPPER"], rules: [{ backendRefs: [{ name: "a" }] }] } };
  const { response } = validate({ request: { uid: "1", kind, operation: "CREATE", object } });
  assert.equal(response.allowed, false);
  assert.match(response.status?.message ?? "", /spec\.hostnames\[0\]: .*\n?.*spec\.rules\[0\]\.backendRefs\[0\]\.port: is required/s);
});

test("good objects, deletions and kinds without a parser pass", () => {
  const good = validate({ request: { uid: "1", kind, operation: "CREATE", object: { metadata: { name: "r" }, spec: { future: 1 } } } });
  assert.deepEqual(good.response, { uid: "1", allowed: true, warnings: ["spec.future: is not known here and has no effect"] });
  assert.equal(validate({ request: { uid: "2", kind, operation: "DELETE" } }).response.allowed, true);
  assert.equal(validate({ request: { uid: "3", kind: { group: "x", version: "v1", kind: "Y" }, operation: "CREATE", object: {} } }).response.allowed, true);
});
