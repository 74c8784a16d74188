import type { TestContext } from "node:test";
import { proxyLimits } from "../../api/istio/index.ts";

/** Lowers limits until the end of a test, because a mesh that reaches the real ones takes a minute. */
export function lowerLimits(t: TestContext, lower: Partial<typeof proxyLimits>): void {
  const before = { ...proxyLimits };
  Object.assign(proxyLimits, lower);
  t.after(() => Object.assign(proxyLimits, before));
}
