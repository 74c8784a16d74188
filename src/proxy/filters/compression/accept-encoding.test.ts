import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseCoding } from "./accept-encoding.ts";

const offered = (...codings: readonly string[]) =>
  codings.map((coding) => ({ coding: coding.replace("!", ""), chosenFirst: coding.endsWith("!") }));
const choice = (accept: string, ...codings: readonly string[]): string => {
  const { coding, by } = chooseCoding(accept, offered(...codings));
  return `${coding ?? "plain"} by ${by}`;
};

test("the coding with the highest weight is chosen, and the client's order decides between equals", () => {
  assert.equal(choice("gzip;q=0.5, br", "gzip", "br"), "br by coding");
  assert.equal(choice("gzip, br", "gzip", "br"), "gzip by coding");
  assert.equal(choice("br, gzip", "gzip", "br"), "br by coding");
  assert.equal(choice("br, gzip;q=0.1", "gzip"), "gzip by coding");
  assert.equal(choice("gzip ; Q = 0.3 ", "gzip"), "gzip by coding");
  assert.equal(choice("gzip;foo=1", "gzip"), "gzip by coding");
});

test("a compressor with `chooseFirst` wins between equal weights, but not against a higher weight", () => {
  assert.equal(choice("gzip, br", "gzip", "br!"), "br by coding");
  assert.equal(choice("gzip, br;q=0.2", "gzip", "br!"), "gzip by coding");
});

test("a wildcard means the first compressor that the client does not exclude", () => {
  assert.equal(choice("*", "gzip", "br!"), "gzip by wildcard");
  assert.equal(choice("gzip;q=0, *", "gzip", "br"), "br by wildcard");
  assert.equal(choice("gzip;q=0, *", "gzip"), "plain by nothing");
  assert.equal(choice("*;q=0, gzip", "gzip"), "gzip by coding");
});

test("a body stays plain if the client prefers that, or accepts no offered coding", () => {
  assert.equal(choice("gzip;q=0.5, identity", "gzip"), "plain by identity");
  assert.equal(choice("identity;q=0", "gzip"), "plain by nothing");
  assert.equal(choice("", "gzip"), "plain by nothing");
  assert.equal(choice("br", "gzip"), "plain by nothing");
  assert.equal(choice("gzip;q=x", "gzip"), "plain by nothing");
  assert.equal(choice("gzip;q=", "gzip"), "plain by nothing");
  assert.equal(choice("GZIP", "gzip"), "plain by nothing");
  assert.equal(choice("gzip"), "plain by nothing");
});
