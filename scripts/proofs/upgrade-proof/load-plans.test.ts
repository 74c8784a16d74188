import assert from "node:assert/strict";
import { test } from "node:test";
import { isCompared } from "../dashboard-proof/figures.ts";
import { ambientPlan, gatewayPlan, sidecarPlan, type LoadScale } from "./load-plans.ts";

function ratesOf(scale: LoadScale): Map<string, number> {
  const plans = [gatewayPlan("192.0.2.1", "/reports", scale), ambientPlan(scale, true), sidecarPlan(scale)];
  return new Map(plans.flatMap(({ requests }) => requests.map(({ name, perSecond }) => [name, perSecond] as const)));
}

test("targets that nobody counts have a rate of their own, and all others keep theirs", () => {
  const scale = { rate: 0.2, streamSeconds: 30 };
  const all = ratesOf(scale);
  const mixed = ratesOf({ ...scale, uncounted: { rate: 0.05, isCounted: isCompared } });
  const slower = [...mixed].filter(([name, perSecond]) => perSecond !== all.get(name)).map(([name]) => name);
  assert.deepEqual(slower.sort(), ["ambient: details", "ambient: gRPC", "gateway: gRPC"]);
  for (const name of slower) assert.equal((mixed.get(name) ?? 0) / (all.get(name) ?? 0), 0.25, name);
});
