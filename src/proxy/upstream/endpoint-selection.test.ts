import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../base/index.ts";
import { EndpointSelection, type Selectable, type SelectionRules } from "./endpoint-selection.ts";
import { defaultBalancing } from "./balancing.ts";
import { priorityLoads } from "./priority-load.ts";
import { warmedWeight } from "./slow-start.ts";
import type { LocalZones } from "./zone-aware.ts";

const rules: SelectionRules = {
  loadBalancing: "round-robin",
  balancing: defaultBalancing,
  panicThreshold: 0,
  localityWeighted: false,
};

interface Group {
  readonly place: string;
  readonly priority?: number;
  readonly weight?: number;
  readonly healthy: number;
  readonly total: number;
}

function group({
  place,
  priority = 0,
  weight = 1,
  healthy,
  total,
}: Group): (Selectable & { readonly place: string })[] {
  return Array.from({ length: total }, (_, index) => ({
    place,
    config: { weight: 1, priority, locality: { name: place, weight } },
    activeRequests: 0,
    usable: index < healthy,
  }));
}

function shares(
  groups: readonly Group[],
  more: Partial<SelectionRules> = {},
  localZones?: LocalZones,
): Record<string, number> {
  const selection = new EndpointSelection(
    groups.flatMap(group),
    { ...rules, ...more },
    { random: seededRandom(5), localZones },
  );
  const picks = 20_000;
  const out: Record<string, number> = {};
  for (let index = 0; index < picks; index += 1) {
    const place = selection.pick()?.place ?? "none";
    out[place] = (out[place] ?? 0) + 100 / picks;
  }
  return Object.fromEntries(Object.entries(out).map(([place, share]) => [place, Math.round(share)]));
}

test("a priority takes all traffic while 1.4 times its health is enough, and leaves the remaining traffic to the next priority", () => {
  const loads = (...levels: (readonly [healthy: number, total: number])[]): number[] =>
    priorityLoads(levels.map(([healthy, total]) => ({ healthy, total }))).map((load) => Math.round(load * 100));
  assert.deepEqual(loads([10, 10], [10, 10]), [100, 0]);
  assert.deepEqual(loads([72, 100], [100, 100]), [100, 0]);
  assert.deepEqual(loads([50, 100], [100, 100]), [70, 30]);
  assert.deepEqual(loads([0, 100], [100, 100]), [0, 100]);
  assert.deepEqual(loads([25, 100], [25, 100]), [50, 50], "together not enough: scaled up");
  assert.deepEqual(loads([0, 5], [0, 5]), [0, 0]);
});

describe("selection", () => {
  const near = { place: "near", total: 10 };
  const far = { place: "far", priority: 1, healthy: 10, total: 10 };
  test("fails over by priority", () => {
    assert.deepEqual(shares([{ ...near, healthy: 10 }, far]), { near: 100 });
    const half = shares([{ ...near, healthy: 5 }, far]);
    assert.ok(Math.abs((half["near"] ?? 0) - 70) <= 1, JSON.stringify(half));
    assert.deepEqual(shares([{ ...near, healthy: 0 }, far]), { far: 100 });
  });
  test("without a healthy endpoint none is chosen, unless panic is allowed", () => {
    assert.deepEqual(shares([{ ...near, healthy: 0 }]), { none: 100 });
    assert.deepEqual(shares([{ ...near, healthy: 0 }], { panicThreshold: 0.5 }), { near: 100 });
  });
  test("spreads over localities by weight and health", () => {
    const even = shares(
      [
        { place: "a", weight: 3, healthy: 4, total: 4 },
        { place: "b", weight: 1, healthy: 2, total: 2 },
      ],
      { localityWeighted: true },
    );
    assert.ok(Math.abs((even["a"] ?? 0) - 75) <= 1, JSON.stringify(even));
    const half = shares(
      [
        { place: "a", weight: 1, healthy: 1, total: 2 },
        { place: "b", weight: 1, healthy: 2, total: 2 },
      ],
      { localityWeighted: true },
    );
    assert.ok(Math.abs((half["a"] ?? 0) - 41) <= 1, JSON.stringify(half));
    assert.deepEqual(
      shares(
        [
          { place: "a", weight: 0, healthy: 1, total: 1 },
          { place: "b", weight: 1, healthy: 1, total: 1 },
        ],
        { localityWeighted: true },
      ),
      { b: 100 },
    );
  });
  test("a hash keeps its priority, locality and endpoint", () => {
    const selection = new EndpointSelection(
      [{ ...near, healthy: 5 }, far].flatMap(group),
      { ...rules, loadBalancing: "ring-hash" },
      { random: seededRandom(1) },
    );
    for (const hash of [1, 77_777, 0xffff_ffff]) assert.equal(selection.pick(hash), selection.pick(hash));
  });
});

describe("zone-aware selection", () => {
  const zoneAware = { routed: 1, minClusterSize: 1, failsOnPanic: false };
  const local: LocalZones = {
    own: "a",
    usable: new Map([
      ["a", 1],
      ["b", 1],
    ]),
    usableFraction: 1,
  };
  const even = [
    { place: "a", healthy: 5, total: 5 },
    { place: "b", healthy: 5, total: 5 },
  ];
  const isNear = (found: Record<string, number>, place: string, expected: number): void =>
    assert.ok(Math.abs((found[place] ?? 0) - expected) <= 1, JSON.stringify(found));
  test("keeps requests in the proxy's locality, whatever the policy is", () => {
    for (const loadBalancing of ["round-robin", "least-request", "random"] as const)
      assert.deepEqual(shares(even, { zoneAware, loadBalancing }, local), { a: 100 }, loadBalancing);
  });
  test("spreads the remaining requests over localities with capacity", () => {
    const found = shares([...even, { place: "c", healthy: 10, total: 10 }], { zoneAware }, local);
    isNear(found, "a", 50);
    isNear(found, "c", 50);
  });
  test("counts usable endpoints only", () => {
    const found = shares(
      [
        { place: "a", healthy: 3, total: 5 },
        { place: "b", healthy: 5, total: 5 },
      ],
      { zoneAware },
      local,
    );
    isNear(found, "a", 75);
  });
  test("balances evenly while zones are unknown, the rule is absent, or there are too few endpoints", () => {
    isNear(shares(even, { zoneAware }), "a", 50);
    isNear(shares(even, {}, local), "a", 50);
    isNear(shares(even, { zoneAware: { ...zoneAware, minClusterSize: 11 } }, local), "a", 50);
  });
  test("takes only the configured fraction of requests", () => {
    isNear(shares(even, { zoneAware: { ...zoneAware, routed: 0.4 } }, local), "a", 70);
    isNear(shares(even, { zoneAware: { ...zoneAware, routed: 0 } }, local), "a", 50);
  });
  test("applies only to the most preferred priority", () => {
    const second = even.map((one) => ({ ...one, priority: 1 }));
    isNear(shares(second, { zoneAware }, local), "a", 50);
    const both = shares(
      [{ place: "a", healthy: 0, total: 5 }, { place: "b", healthy: 0, total: 5 }, ...second],
      { zoneAware },
      local,
    );
    isNear(both, "a", 50);
  });
  test("stops in panic, where all endpoints are tried, or none if that is configured", () => {
    const sick = [
      { place: "a", healthy: 2, total: 5 },
      { place: "b", healthy: 2, total: 5 },
    ];
    isNear(shares(sick, { zoneAware, panicThreshold: 0.5 }, local), "a", 50);
    assert.deepEqual(shares(sick, { zoneAware, panicThreshold: 0.3 }, local), { a: 100 });
    const failing = { zoneAware: { ...zoneAware, failsOnPanic: true }, panicThreshold: 0.5 };
    assert.deepEqual(shares(sick, failing, local), { none: 100 });
    assert.deepEqual(
      shares(
        sick.map((one) => ({ ...one, healthy: 0 })),
        failing,
        local,
      ),
      { none: 100 },
    );
    assert.deepEqual(shares(even, failing, local), { a: 100 });
  });
  test("stops while most of the workload's own endpoints are not usable", () => {
    isNear(shares(even, { zoneAware, panicThreshold: 0.5 }, { ...local, usableFraction: 0.4 }), "a", 50);
  });
});

test("a new endpoint's weight grows from its minimum to the whole", () => {
  const slow = { windowMs: 60_000, aggression: 1, minFraction: 0.1 };
  assert.deepEqual(
    [0, 30_000, 60_000].map((age) => warmedWeight(slow, 10, age)),
    [1, 5, 10],
  );
  assert.ok(warmedWeight({ ...slow, aggression: 2 }, 10, 30_000) > 7);
});

test("retries that exclude priorities make the balancers of the others once, because a ring takes long to build", () => {
  const endpoints = [0, 1, 2].flatMap((priority) => group({ place: `p${priority}`, priority, healthy: 2, total: 2 }));
  let weighed = 0;
  const weightOf = (): number => {
    weighed += 1;
    return 1;
  };
  const selection = new EndpointSelection(
    endpoints,
    { ...rules, loadBalancing: "ring-hash" },
    { random: seededRandom(1), weightOf },
  );
  const placeWithout = (...excluded: number[]): string | undefined =>
    selection.without(new Set(excluded))?.pick(1)?.place;
  assert.equal(placeWithout(0), "p1");
  const before = weighed;
  assert.equal(placeWithout(0), "p1");
  assert.equal(weighed, before);
  assert.equal(placeWithout(0, 1), "p2");
  assert.equal(placeWithout(0, 1, 2), undefined);
});
