// Runs the whole demo under load, from an empty machine to the end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runProof } from "../support/run-proof.ts";

interface DemoSummary {
  readonly ok: boolean;
  readonly requests: number;
  readonly steps: readonly { readonly name: string; readonly failed: number }[];
  readonly rolledBack: readonly { readonly cause: string }[];
}

const timeLimitMs = 400_000;

test("the app and the mesh change under load with no failed request, and two bad releases are rolled back", async () => {
  const run = await runProof<DemoSummary>("scripts/demo.ts", ["--calm"], timeLimitMs);
  assert.equal(run.code, 0, run.output);
  const summary = run.summary();
  assert.equal(summary.ok, true);
  assert.ok(summary.requests > 1000, `${summary.requests} requests`);
  // Some requests may meet the bad ztunnel before the engine finds it. The bad control plane's configuration is never
  // used.
  for (const step of summary.steps.filter(({ name }) => name !== "a bad ztunnel"))
    assert.equal(step.failed, 0, step.name);
  assert.equal(summary.rolledBack.length, 2);
  // Either the check of rejections or the wait for the probes' acknowledgement finds the fault first.
  assert.match(summary.rolledBack[0]?.cause ?? "", /rejected (istio\.workload\.Address|the configuration of istiod)/);
  // The upgrade's probes and the count of failed connections both find the fault within the same seconds, so either may
  // be the cause.
  assert.match(summary.rolledBack[1]?.cause ?? "", /probe-matrix|tcp-connect-failures/);
});
