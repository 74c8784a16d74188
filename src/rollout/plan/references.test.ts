import assert from "node:assert/strict";
import { test } from "node:test";
import { pluralOf } from "./references.ts";

test("the owner of a pod may be of any kind, also of one with the name of a property of every object", () => {
  assert.equal(pluralOf("AuthorizationPolicy"), "authorizationpolicies");
  assert.equal(pluralOf("constructor"), "constructors");
});
