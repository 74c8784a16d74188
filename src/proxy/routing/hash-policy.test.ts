import assert from "node:assert/strict";
import { test } from "node:test";
import { testRequest } from "../testing/filter-request.ts";
import { requestHash, type HashPolicy } from "./hash-policy.ts";

const header: HashPolicy = { kind: "header", name: "x-user", rewrite: undefined, terminal: false };
const query: HashPolicy = { kind: "query", name: "user", terminal: false };
const source: HashPolicy = { kind: "source-ip", terminal: false };
const cookie: HashPolicy = {
  kind: "cookie",
  name: "user",
  path: "",
  ttlSeconds: undefined,
  attributes: [],
  terminal: false,
};

const hash = (
  policies: readonly HashPolicy[],
  target: string,
  headers: Record<string, string> = {},
  address = "10.0.0.1",
): number | undefined => requestHash(policies, testRequest(target, { headers }), address, "connection")?.value;

test("a source without a value is ignored, and there is no hash if no source has a value", () => {
  assert.equal(hash([header, query, cookie], "/"), undefined);
  assert.equal(hash([header, query], "/?user=joe"), hash([query], "/?user=joe&other=1"));
  assert.notEqual(hash([query], "/?user=joe"), hash([query], "/?user=eve"));
  assert.equal(hash([cookie], "/", { cookie: 'a=b; user="joe"' }), hash([cookie], "/", { cookie: "user=joe" }));
  assert.notEqual(hash([source], "/", {}, "10.0.0.1"), hash([source], "/", {}, "10.0.0.2"));
});

test("several sources combine in order, until a terminal one has a value", () => {
  const both = hash([header, query], "/?user=a", { "x-user": "a" });
  assert.notEqual(both, 0, "equal values do not cancel each other out");
  assert.notEqual(both, hash([header], "/", { "x-user": "a" }));
  const terminal: HashPolicy = { ...header, terminal: true };
  assert.equal(hash([terminal, query], "/?user=b", { "x-user": "a" }), hash([header], "/", { "x-user": "a" }));
  assert.equal(hash([terminal, query], "/?user=b"), hash([query], "/?user=b"));
});
