import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/index.ts";
import { leaveService } from "./leave-service.ts";
import type { SliceFacts } from "./model/facts.ts";

function slice(service: string, pods: Readonly<Record<string, boolean>>): SliceFacts {
  const endpoints = Object.entries(pods).map(([pod, ready]) => ({ addresses: ["10.0.0.1"], ready, node: "n", pod }));
  return { namespace: "istio-system", name: `${service}-x`, service, ports: [], endpoints };
}

/** The control plane would wait this long. The test itself does not wait. */
async function waitedMs(slices: readonly SliceFacts[]): Promise<number> {
  let waited = 0;
  const clock = { ...systemClock, sleep: (ms: number) => Promise.resolve(void (waited += ms)) };
  const names = { service: "istio-system/istiod", pod: "istio-system/istiod-1" };
  await leaveService({ slices, ...names, clock, force: new AbortController().signal });
  return waited;
}

test("an ending control plane serves until its Service no longer routes to it, if there is another replica", async () => {
  const own = { "istio-system/istiod-1": true };
  assert.equal(await waitedMs([slice("istio-system/istiod", { ...own, "istio-system/istiod-2": true })]), 3_000);
  assert.equal(await waitedMs([slice("istio-system/istiod", { ...own, "istio-system/istiod-2": false })]), 3_000);
  assert.equal(await waitedMs([slice("istio-system/istiod", own)]), 0);
  assert.equal(await waitedMs([slice("istio-system/istiod-next", { "istio-system/istiod-next-1": true })]), 0);
});

test("a second signal ends the wait", async () => {
  const force = new AbortController();
  const slices = [slice("istio-system/istiod", { "istio-system/istiod-2": true })];
  const names = { service: "istio-system/istiod", pod: "istio-system/istiod-1" };
  const left = leaveService({ slices, ...names, clock: systemClock, force: force.signal });
  force.abort();
  await left;
});
