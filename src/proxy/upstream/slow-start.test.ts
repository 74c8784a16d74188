import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, systemClock, type Clock } from "../../base/index.ts";
import { endpointAt, plainCluster } from "../testing/harness.ts";
import { Cluster } from "./cluster.ts";

test("the slow start of an endpoint that was not ready begins when it is ready, and only once", () => {
  let nowMs = 0;
  const clock: Clock = { ...systemClock, steadyMs: () => nowMs };
  const slowStart = { windowMs: 60_000, aggression: 1, minFraction: 0.1 };
  const limits = {
    connectTimeoutMs: 1000,
    maxConnections: Infinity,
    maxPendingRequests: Infinity,
    maxRequestsPerConnection: 0,
    idleTimeoutMs: 1000,
  };
  const cluster = new Cluster(
    { ...plainCluster, name: "c", limits, slowStart },
    { clock, random: seededRandom(1), connector: { connect: () => Promise.reject(new Error("no network")) } },
  );
  const become = (healthy: boolean): void => cluster.setEndpoints([endpointAt(1), endpointAt(2, { healthy })]);
  const shareOfSecond = (): number => {
    cluster.sweep(nowMs);
    const picks = Array.from({ length: 4000 }, () => cluster.pick(undefined, 1)?.config.port);
    return picks.filter((port) => port === 2).length / picks.length;
  };
  const isNear = (found: number, wanted: number): void =>
    assert.ok(Math.abs(found - wanted) < 0.04, `${found} instead of ${wanted}`);

  become(false);
  assert.equal(shareOfSecond(), 0);
  nowMs = 100_000;
  become(true);
  isNear(shareOfSecond(), 0.1 / 1.1);
  nowMs = 130_000;
  isNear(shareOfSecond(), 0.5 / 1.5);
  nowMs = 170_000;
  isNear(shareOfSecond(), 0.5);
  become(false);
  become(true);
  isNear(shareOfSecond(), 0.5);
});
