import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../base/index.ts";
import { hashText } from "../terms/hash-text.ts";
import { defaultBalancing, type BalancingOptions, type LoadBalancing } from "./balancing.ts";
import { createLoadBalancer } from "./load-balancer.ts";

interface Fake {
  readonly name: string;
  readonly config: { readonly weight: number };
  activeRequests: number;
}

const endpoint = (name: string, weight = 1): Fake => ({ name, config: { weight }, activeRequests: 0 });
const endpoints = (count: number): Fake[] =>
  Array.from({ length: count }, (_, index) => endpoint(`10.0.0.${index}:80`));

function counts(policy: LoadBalancing, among: readonly Fake[], picks: number, hashed = false): Map<string, number> {
  const balancer = createLoadBalancer(policy, { endpoints: among, random: seededRandom(3) });
  const out = new Map<string, number>();
  for (let index = 0; index < picks; index += 1) {
    const { name = "" } = balancer.pick(hashed ? hashText(`user-${index}`) : undefined) ?? {};
    out.set(name, (out.get(name) ?? 0) + 1);
  }
  return out;
}

test("random, ring hash and maglev spread evenly, and by weight", () => {
  const among = [endpoint("a:1", 3), endpoint("b:1", 1)];
  const picks = 8000;
  // The largest deviations from an even distribution. Random choices may deviate by four standard deviations, and the
  // ring itself is more uneven than that.
  const bounds: Readonly<Record<string, number>> = {
    random: 4 * Math.sqrt(picks * 0.75 * 0.25),
    maglev: 4 * Math.sqrt(picks * 0.75 * 0.25),
    "ring-hash": picks * 0.06,
  };
  for (const policy of ["random", "maglev", "ring-hash"] as const) {
    const heavy = counts(policy, among, picks, policy !== "random").get("a:1") ?? 0;
    assert.ok(Math.abs(heavy - picks * 0.75) < (bounds[policy] ?? 0), `${policy}: ${heavy}`);
  }
});

for (const policy of ["ring-hash", "maglev"] as const) {
  test(`${policy}: when an endpoint leaves, nearly all hashes of the others stay with them`, () => {
    const before = endpoints(10);
    const pick = (among: readonly Fake[]) => createLoadBalancer(policy, { endpoints: among, random: seededRandom(1) });
    const [first, second] = [pick(before), pick(before.slice(1))];
    let moved = 0;
    let kept = 0;
    for (let index = 0; index < 5000; index += 1) {
      const hash = hashText(`user-${index}`);
      const [was, is] = [first.pick(hash)?.name, second.pick(hash)?.name];
      assert.equal(first.pick(hash)?.name, was);
      if (was === before[0]?.name) continue;
      if (was === is) kept += 1;
      else moved += 1;
    }
    // With fewer endpoints, each has more points on a ring of the same size, and Maglev moves a few table entries.
    assert.ok(moved < kept * 0.12, `${moved} of ${kept}`);
  });
}

test("a retry of the same hash soon reaches another endpoint", () => {
  for (const policy of ["ring-hash", "maglev"] as const) {
    const balancer = createLoadBalancer(policy, { endpoints: endpoints(4), random: seededRandom(1) });
    const hash = hashText("user");
    assert.ok(new Set(Array.from({ length: 8 }, (_, attempt) => balancer.pick(hash, attempt)?.name)).size > 1, policy);
  }
});

test("least requests compares as many endpoints as choiceCount configures", () => {
  const among = endpoints(5);
  for (const [index, one] of among.entries()) one.activeRequests = index === 2 ? 0 : 5;
  const balancer = createLoadBalancer("least-request", {
    endpoints: among,
    random: seededRandom(1),
    options: { ...defaultBalancing, choiceCount: 40 },
  });
  for (let index = 0; index < 50; index += 1) assert.equal(balancer.pick()?.name, among[2]?.name);
});

test("no size that a cluster asks for, and no weight, makes a thread build a ring or a table for seconds", () => {
  const cpuMs = (policy: LoadBalancing, among: readonly Fake[], sizes: Partial<BalancingOptions>): number => {
    const balancer = createLoadBalancer(policy, {
      endpoints: among,
      random: seededRandom(3),
      options: { ...defaultBalancing, ...sizes },
    });
    const before = process.cpuUsage();
    assert.ok(balancer.pick(1) !== undefined);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  const weighted = endpoints(2000).map((one, index) => endpoint(one.name, index === 0 ? 4_000_000_000 : 1));
  // Warm up first, so that the measured runs use compiled code and memory that was used before.
  for (const policy of ["ring-hash", "maglev"] as const) counts(policy, endpoints(50), 1, true);
  const usual = cpuMs("ring-hash", endpoints(2), { minRingSize: 65_536 });
  const largest = cpuMs("ring-hash", endpoints(2), { minRingSize: defaultBalancing.maxRingSize });
  assert.ok(largest < 10 * usual + 100, `a ring: ${largest} ms, and ${usual} ms with 65,536 points`);
  const table = cpuMs("maglev", endpoints(2), { tableSize: 131_071 });
  for (const among of [endpoints(2), weighted]) {
    const found = cpuMs("maglev", among, { tableSize: 4_999_999 });
    assert.ok(found < 10 * table + 100, `a table for ${among.length}: ${found} ms, and ${table} ms with 131,071 slots`);
  }
});
