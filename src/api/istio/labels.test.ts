import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveRevision } from "./labels.ts";

const tags = new Map([
  ["prod", "1-18-1"],
  ["default", "1-18-0"],
]);
const revisionOf = (own?: string, namespace?: string): string =>
  resolveRevision({ own, namespace }, (tag) => tags.get(tag));

test("an object's own label wins over its namespace's, and without both the default tag decides", () => {
  assert.equal(revisionOf("1-17-0", "1-16-0"), "1-17-0");
  assert.equal(revisionOf(undefined, "1-16-0"), "1-16-0");
  assert.equal(revisionOf(), "1-18-0");
});

test("a label that names a tag leads to the tag's revision", () => {
  assert.equal(revisionOf("prod"), "1-18-1");
  assert.equal(revisionOf(undefined, "prod"), "1-18-1");
});

test("without a default tag, the revision is called default", () => {
  assert.equal(
    resolveRevision({ own: undefined, namespace: undefined }, () => undefined),
    "default",
  );
});
