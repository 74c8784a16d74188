import assert from "node:assert/strict";
import { test } from "node:test";
import { hostCovers, hostsOverlap, narrowerHost } from "./host-covers.ts";

const labels = ["a", "b"];
const below = (names: readonly string[]): string[] =>
  names.flatMap((name) => labels.map((label) => `${label}.${name}`));
const two = below(labels);
const three = below(two);
const names = [...labels, ...two, ...three, ...below(three)];
const hosts = [...labels, ...two, ...three, "*", ...[...labels, ...two].map((name) => `*.${name}`)];

function namesOf(host: string): ReadonlySet<string> {
  return new Set(names.filter((name) => name === host || (host.startsWith("*") && name.endsWith(host.slice(1)))));
}

test("a host covers another one if it stands for each of the other's names", () => {
  for (const wide of hosts)
    for (const narrow of hosts)
      assert.equal(hostCovers(wide, narrow), namesOf(narrow).isSubsetOf(namesOf(wide)), `${wide} over ${narrow}`);
});

test("hosts overlap if they have a name in common, and the narrower one stands for all of these", () => {
  for (const left of hosts)
    for (const right of hosts) {
      const common = namesOf(left).intersection(namesOf(right));
      assert.equal(hostsOverlap(left, right), common.size > 0, `${left} and ${right}`);
      const narrower = narrowerHost(left, right);
      assert.deepEqual(narrower === undefined ? new Set() : namesOf(narrower), common, `${left} and ${right}`);
    }
});

test("a wildcard does not cover its own suffix, and covers longer wildcards", () => {
  assert.equal(hostCovers("*.example.org", "example.org"), false);
  assert.equal(hostCovers("*.example.org", "*.a.example.org"), true);
  assert.equal(hostCovers("*.a.example.org", "*.example.org"), false);
  assert.equal(hostCovers("example.org", "*.example.org"), false);
});
