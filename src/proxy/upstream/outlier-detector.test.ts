import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, systemClock, type Clock } from "../../base/index.ts";
import { endpointAt, plainCluster } from "../testing/harness.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import { Cluster, type ClusterConfig, type Ejection, type Endpoint } from "./cluster.ts";
import type { EndpointOutcome, OutlierPolicy } from "./outlier-detector.ts";

const policy: OutlierPolicy = {
  consecutiveServerErrors: 3,
  consecutiveGatewayErrors: 0,
  consecutiveLocalErrors: 5,
  splitsLocalErrors: false,
  intervalMs: 1000,
  baseEjectionMs: 10_000,
  maxEjectionMs: 300_000,
  ejectionJitterMs: 0,
  maxEjectionPercent: 100,
  alwaysEjectsOne: false,
};

class Fixture {
  nowMs = 0;
  readonly cluster: Cluster;
  readonly ejections: Ejection[] = [];
  readonly endpoints: readonly Endpoint[];

  constructor(outliers: Partial<OutlierPolicy>, count: number, more: Partial<ClusterConfig> = {}) {
    const clock: Clock = { ...systemClock, steadyMs: () => this.nowMs };
    const limits = {
      connectTimeoutMs: 1000,
      maxConnections: Infinity,
      maxPendingRequests: Infinity,
      maxRequestsPerConnection: 0,
      idleTimeoutMs: 1000,
    };
    const config: ClusterConfig = { ...plainCluster, name: "c", limits, outliers: { ...policy, ...outliers }, ...more };
    this.cluster = new Cluster(config, {
      clock,
      random: seededRandom(1),
      ejected: (ejection) => void this.ejections.push(ejection),
      connector: { connect: () => Promise.reject(new Error("no network")) },
    });
    this.cluster.setEndpoints(Array.from({ length: count }, (_, index) => endpointAt(1000 + index)));
    this.endpoints = [...this.cluster.endpoints()];
  }

  tell(index: number, ...outcomes: readonly (number | EndpointOutcome)[]): void {
    for (const outcome of outcomes)
      this.endpoints[index]?.report(typeof outcome === "number" ? { kind: "answer", status: outcome } : outcome);
  }

  reached(): number[] {
    const picked = new Set(Array.from({ length: 40 }, () => this.cluster.pick(undefined, 1)?.config.port ?? 0));
    return [...picked].map((port) => port - 1000).sort((left, right) => left - right);
  }

  at(ms: number): void {
    for (; this.nowMs < ms; this.nowMs += 1000) this.cluster.sweep(this.nowMs);
    this.nowMs = ms;
    this.cluster.sweep(ms);
  }
}

test("consecutive errors eject an endpoint for the base time, and for longer each further time, until it serves without errors", () => {
  const fixture = new Fixture({}, 3);
  fixture.tell(0, 500, 500, 200, 500, 500);
  assert.deepEqual(fixture.reached(), [0, 1, 2], "not in a row");
  fixture.tell(0, 503);
  assert.deepEqual(fixture.reached(), [1, 2]);
  fixture.at(9000);
  assert.deepEqual(fixture.reached(), [1, 2]);
  fixture.at(10_000);
  assert.deepEqual(fixture.reached(), [0, 1, 2]);
  fixture.tell(0, 500, 500, 500);
  fixture.at(29_000);
  assert.deepEqual(fixture.reached(), [1, 2], "the second time it is twice as long");
  fixture.at(30_000);
  assert.deepEqual(fixture.reached(), [0, 1, 2]);
  fixture.at(40_000);
  fixture.tell(0, 500, 500, 500);
  fixture.at(50_000);
  assert.deepEqual(fixture.reached(), [0, 1, 2], "quiet intervals are forgiving");
});

test("maxEjectionPercent limits ejected endpoints, and alwaysEjectOneHost permits one exception", () => {
  const failAll = (fixture: Fixture): number[] => {
    for (const index of fixture.endpoints.keys()) fixture.tell(index, 500, 500, 500);
    return fixture.reached();
  };
  assert.deepEqual(failAll(new Fixture({ maxEjectionPercent: 50 }, 4)), [2, 3]);
  assert.deepEqual(failAll(new Fixture({ maxEjectionPercent: 10 }, 4)), [0, 1, 2, 3]);
  assert.deepEqual(failAll(new Fixture({ maxEjectionPercent: 10, alwaysEjectsOne: true }, 4)), [1, 2, 3]);
  assert.deepEqual(failAll(new Fixture({}, 2)), [-1000], "all are out: nobody is reached");
});

test("an ejection is shared with other threads, which apply it within their own percentage", () => {
  const [one, two] = [new Fixture({}, 3), new Fixture({ maxEjectionPercent: 40 }, 3)];
  one.tell(0, 500, 500, 500);
  one.tell(1, 500, 500, 500);
  assert.deepEqual(
    one.ejections.map(({ cluster, forMs }) => [cluster, forMs]),
    [
      ["c", 10_000],
      ["c", 10_000],
    ],
  );
  for (const { endpoint, forMs } of one.ejections) two.cluster.eject(endpoint, forMs);
  two.cluster.eject("one that is gone by now", 10_000);
  assert.deepEqual(two.reached(), [1, 2]);
  assert.deepEqual(two.ejections, [], "what it was told it does not tell");
  assert.deepEqual(two.cluster.outlierCounters, { ejections: 0, overflows: 0 });
  two.at(9000);
  assert.deepEqual(two.reached(), [1, 2]);
  two.at(10_000);
  assert.deepEqual(two.reached(), [0, 1, 2]);
});

test("gateway errors have their own counter, and other server errors interrupt it", () => {
  const fixture = new Fixture({ consecutiveServerErrors: 0, consecutiveGatewayErrors: 2 }, 2);
  fixture.tell(0, 502, 500, 504);
  assert.deepEqual(fixture.reached(), [0, 1]);
  fixture.tell(0, 503);
  assert.deepEqual(fixture.reached(), [1]);
});

test("local failures count as gateway errors, or separately if configured", () => {
  const refused: EndpointOutcome = { kind: "connect-failure" };
  const joint = new Fixture({}, 2);
  joint.tell(0, refused, 500, { kind: "timeout" });
  assert.deepEqual(joint.reached(), [1]);
  const split = new Fixture({ splitsLocalErrors: true, consecutiveLocalErrors: 2 }, 2);
  split.tell(0, refused, 500, refused, 500);
  assert.deepEqual(split.reached(), [0, 1], "an answer, be it an error, is not of local origin");
  split.tell(0, refused, refused);
  assert.deepEqual(split.reached(), [1]);
});

test("a retry budget is a share of the active requests, with a minimum", () => {
  const limits = { maxConnections: 1, maxPendingRequests: 1, maxRequests: 100, maxRetries: 1 };
  const breaker = new CircuitBreaker({ ...limits, retryBudget: { fraction: 0.2, min: 2 } });
  assert.deepEqual([breaker.retries.take(), breaker.retries.take(), breaker.retries.take()], [true, true, false]);
  for (let index = 0; index < 20; index += 1) breaker.requests.take();
  assert.deepEqual([breaker.retries.take(), breaker.retries.take(), breaker.retries.take()], [true, true, false]);
  assert.equal(breaker.retries.overflows, 2);
  const plain = new CircuitBreaker({ ...limits, retryBudget: undefined });
  assert.deepEqual([plain.retries.take(), plain.retries.take()], [true, false]);
  plain.retries.give();
  assert.equal(plain.retries.take(), true);
});
