import assert from "node:assert/strict";
import { test } from "node:test";
import { unexplainedFailures } from "./explain-failures.ts";
import type { InjectedFault } from "./fault-injector.ts";

const beginMs = Date.parse("2026-06-01T00:00:00Z");
const limitMs = 4_000;

function failure(afterMs: number, cause = "ECONNRESET", target = "gateway: page") {
  return { at: new Date(beginMs + afterMs).toISOString(), target, cause, group: "kept-alive" };
}

function fault(cuts: string | undefined, forMs = 0): InjectedFault {
  return { name: "a fault", fromMs: beginMs, untilMs: beginMs + forMs, cuts };
}

const unexplained = (failures: readonly ReturnType<typeof failure>[], faults: readonly InjectedFault[]): number =>
  unexplainedFailures(failures, faults, limitMs).length;

test("a killed data plane explains resets at that moment, and neither earlier nor later ones", () => {
  const failures = [failure(-10), failure(10), failure(1_900), failure(2_100)];
  assert.equal(unexplained(failures, [fault("")]), 2);
});

test("a link that was away explains requests that waited for their whole limit", () => {
  const silent = "no whole answer in 4000 ms";
  assert.equal(unexplained([failure(5_900, silent), failure(10_900, silent)], [fault("", 5_000)]), 0);
  assert.equal(unexplained([failure(11_100, silent), failure(7_100)], [fault("", 5_000)]), 2);
});

test("a fault that has not ended explains failures as long as it lasts", () => {
  assert.equal(unexplained([failure(3_600_000)], [fault("", Number.POSITIVE_INFINITY)]), 0);
});

test("a killed gateway explains the requests through it alone", () => {
  assert.equal(unexplained([failure(10), failure(10, "ECONNRESET", "ambient: details")], [fault("gateway")]), 1);
});

test("a killed API server, engine or control plane explains no failed request", () => {
  assert.equal(unexplained([failure(10)], [fault(undefined)]), 1);
});
