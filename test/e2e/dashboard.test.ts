// The dashboard against a live lab under load, in a real Chromium: the short form of `npm run e2e:dashboard`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { casesInChromium } from "../support/chromium.ts";
import { runProof } from "../support/run-proof.ts";

interface DashboardSummary {
  readonly ok: boolean;
  readonly views: number;
  readonly failed: number;
  readonly consoleErrors: number;
  readonly maxDeviation: number;
}

const timeLimitMs = 480_000;

casesInChromium("the dashboard over a live lab", () => {
  test("every view opens, every order of a canary is given by its button, figures are the load's own within 2 %, a request and a weight are seen within 2 s, and rights hold", async () => {
    const run = await runProof<DashboardSummary>(
      "scripts/proofs/e2e-dashboard.ts",
      ["--rate", "0.2", "--sights", "1", "--only", "views,figures,freshness,orders,access"],
      timeLimitMs,
    );
    assert.equal(run.code, 0, run.output);
    const summary = run.summary();
    assert.deepEqual(
      { ok: summary.ok, failed: summary.failed, consoleErrors: summary.consoleErrors },
      { ok: true, failed: 0, consoleErrors: 0 },
    );
    assert.ok(summary.views > 10, run.output);
    assert.ok(summary.maxDeviation <= 0.02, run.output);
  });
});
