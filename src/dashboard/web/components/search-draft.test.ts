import assert from "node:assert/strict";
import { test } from "node:test";
import { withValue } from "./search-draft.ts";

test("what the user types while the page filters by the former text stays", () => {
  assert.equal(withValue({ text: "check", passedOn: "che" }, "che").text, "check");
});

test("a value that the field has not passed on, as after the back button, replaces the text", () => {
  assert.deepEqual(withValue({ text: "check", passedOn: "check" }, "cart"), { text: "cart", passedOn: "cart" });
  assert.deepEqual(withValue({ text: "check", passedOn: "check" }, ""), { text: "", passedOn: "" });
});
