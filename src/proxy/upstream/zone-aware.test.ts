import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { zoneShares } from "./zone-aware.ts";

type Counts = Readonly<Record<string, number>>;

const countsOf = (counts: Counts): Map<string, number> =>
  new Map(Object.entries(counts).filter(([, count]) => count > 0));

/** The percentage of its requests that a proxy in locality `a` sends to each locality. */
function percentages(upstream: Counts, local: Counts, minClusterSize = 1): Counts | undefined {
  const shares = zoneShares(countsOf(upstream), { own: "a", usable: countsOf(local) }, minClusterSize);
  return shares && Object.fromEntries([...shares].map(([name, share]) => [name, Math.round(share * 1000) / 10]));
}

describe("requests are routed by zone", () => {
  test("to the proxy's locality alone, if its share of the endpoints is at least its share of the workload", () => {
    assert.deepEqual(percentages({ a: 1, b: 1 }, { a: 1, b: 1 }), { a: 100 });
    assert.deepEqual(percentages({ a: 1, b: 2 }, { a: 5, b: 10 }), { a: 100 }, "equal shares of different totals");
    assert.deepEqual(percentages({ a: 9, b: 1 }, { a: 1, b: 1 }), { a: 100 });
  });
  test("to the proxy's locality up to its capacity, and the remaining requests to others by their spare capacity", () => {
    assert.deepEqual(percentages({ a: 1, b: 3 }, { a: 1, b: 1 }), { a: 50, b: 50 });
    // Envoy's own example: 40, 40 and 20 percent of the proxies, and 25, 50 and 25 percent of the endpoints.
    assert.deepEqual(percentages({ a: 1, b: 2, c: 1 }, { a: 2, b: 2, c: 1 }), { a: 62.5, b: 25, c: 12.5 });
    assert.deepEqual(percentages({ a: 1, b: 1, c: 2 }, { a: 2, b: 2 }), { a: 50, c: 50 }, "b is full");
  });
  test("to localities in which the workload has no proxies", () => {
    assert.deepEqual(percentages({ a: 1, z: 1 }, { a: 3, b: 1 }), { a: 66.7, z: 33.3 });
  });
});

describe("requests are not routed by zone", () => {
  test("if all endpoints are in one locality, or none is in the proxy's", () => {
    assert.equal(percentages({ a: 4 }, { a: 1, b: 1 }), undefined);
    assert.equal(percentages({ b: 2, c: 2 }, { a: 1, b: 1 }), undefined);
    assert.equal(percentages({}, { a: 1, b: 1 }), undefined);
  });
  test("if there are fewer endpoints than the minimum", () => {
    assert.equal(percentages({ a: 3, b: 2 }, { a: 1, b: 1 }, 6), undefined);
    assert.deepEqual(percentages({ a: 3, b: 3 }, { a: 1, b: 1 }, 6), { a: 100 });
  });
  test("if the workload's endpoints are unknown, in one locality, or not in the proxy's", () => {
    assert.equal(percentages({ a: 1, b: 1 }, {}), undefined);
    assert.equal(percentages({ a: 1, b: 1 }, { a: 3 }), undefined);
    assert.equal(percentages({ a: 1, b: 1 }, { b: 1, c: 1 }), undefined);
  });
});

const names = ["a", "b", "c", "d", "e"] as const;
const counts = fc.record(Object.fromEntries(names.map((name) => [name, fc.nat(30)])));

test("property: shares are positive and add up to 1, and a locality with enough capacity gets all of its own requests", () => {
  fc.assert(
    fc.property(counts, counts, (upstream, local) => {
      const [to, from] = [countsOf(upstream), countsOf(local)];
      const shares = zoneShares(to, { own: "a", usable: from }, 1);
      if (shares === undefined) return;
      const all = [...shares.values()];
      assert.ok(all.every((share) => share > 0));
      assert.ok(Math.abs(total(all) - 1) < 1e-9);
      const enough = (to.get("a") ?? 0) * total(from.values()) >= (from.get("a") ?? 0) * total(to.values());
      assert.equal(shares.size === 1 && shares.has("a"), enough);
    }),
  );
});

test("property: all proxies of a workload together load each endpoint equally", () => {
  const present = fc.record(Object.fromEntries(names.map((name) => [name, fc.integer({ min: 1, max: 30 })])));
  fc.assert(
    fc.property(present, present, (upstream, local) => {
      const [to, from] = [countsOf(upstream), countsOf(local)];
      const load = new Map<string, number>();
      for (const [own, proxies] of from)
        for (const [name, share] of zoneShares(to, { own, usable: from }, 1) ?? [])
          load.set(name, (load.get(name) ?? 0) + proxies * share);
      const each = total(from.values()) / total(to.values());
      for (const [name, endpoints] of to) assert.ok(Math.abs((load.get(name) ?? 0) / endpoints - each) < 1e-9);
    }),
  );
});

function total(values: Iterable<number>): number {
  return [...values].reduce((sum, value) => sum + value, 0);
}
