import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { silentLogger } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import { DnsRefresher, type DnsRefresherOptions } from "./dns-refresher.ts";

function refresherOf(
  answers: readonly (Awaited<ReturnType<DnsRefresherOptions["resolve"]>> | Error)[],
  options: Partial<DnsRefresherOptions> = {},
): { askedAfter: (ms: number) => Promise<number>; refresher: DnsRefresher } {
  const clock = new HandClock();
  let queryCount = 0;
  const refresher = new DnsRefresher({
    names: ["web.test"],
    refreshMs: 60_000,
    respectsTtl: true,
    family: "ipv4",
    resolve: () => {
      const answer = answers[queryCount++] ?? new Error("asked too often");
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
    clock,
    log: silentLogger,
    onChange: () => undefined,
    ...options,
  });
  refresher.start();
  return {
    refresher,
    askedAfter: async (ms) => {
      clock.pass(ms);
      await setImmediate();
      return queryCount;
    },
  };
}

const found = (ttlMs?: number) => ({ addresses: ["192.0.2.1"], ...(ttlMs === undefined ? {} : { ttlMs }) });

test("a name is resolved again when its records are no longer valid", async () => {
  const { askedAfter } = refresherOf([found(5000), found(10), found(90_000), found()]);
  assert.equal(await askedAfter(0), 1);
  assert.equal(await askedAfter(4999), 1);
  assert.equal(await askedAfter(1), 2);
  assert.equal(await askedAfter(999), 2, "but not more often than once a second");
  assert.equal(await askedAfter(1), 3);
  assert.equal(await askedAfter(89_999), 3);
  assert.equal(await askedAfter(1), 4);
});

test("the cluster's refresh time applies if the cluster ignores the records' time, or the records have none", async () => {
  for (const { askedAfter } of [
    refresherOf([found(5000), found()], { respectsTtl: false }),
    refresherOf([found(0), found()]),
    refresherOf([new Error("no name server answers"), found()]),
    refresherOf([{ addresses: [] }, found()]),
  ]) {
    assert.equal(await askedAfter(0), 1);
    assert.equal(await askedAfter(59_999), 1);
    assert.equal(await askedAfter(1), 2);
  }
});

test("a stopped refresher sends no more queries", async () => {
  const { askedAfter, refresher } = refresherOf([found(5000)]);
  assert.equal(await askedAfter(0), 1);
  refresher.stop();
  assert.equal(await askedAfter(60_000), 1);
});
