import assert from "node:assert/strict";
import { test } from "node:test";
import { compared, figureShares } from "../dashboard-proof/figures.ts";
import { ambientPlan, gatewayPlan, sidecarPlan, type LoadScale } from "./load-plans.ts";

function ratesOf(scale: LoadScale): Map<string, number> {
  const plans = [gatewayPlan("192.0.2.1", "/reports", scale), ambientPlan(scale, true), sidecarPlan(scale)];
  return new Map(plans.flatMap(({ requests }) => requests.map(({ name, perSecond }) => [name, perSecond] as const)));
}

test("each compared service of the dashboard gets six requests a second or more, and other targets a quarter", () => {
  const scale = { rate: 0.2, streamSeconds: 30 };
  const all = ratesOf(scale);
  const mixed = ratesOf({ ...scale, shares: figureShares });
  const slowest = [...mixed].filter(([name, perSecond]) => perSecond === 0.25 * (all.get(name) ?? 0));
  assert.deepEqual(slowest.map(([name]) => name).sort(), ["ambient: details", "ambient: gRPC", "gateway: gRPC"]);
  for (const { name, targets } of compared) {
    const perSecond = targets.reduce((sum, target) => sum + (mixed.get(target) ?? Number.NaN), 0);
    assert.ok(perSecond > 5.99, `${name}: ${perSecond}`);
  }
});
