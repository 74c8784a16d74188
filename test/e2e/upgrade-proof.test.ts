// The short form of the proof under load, `npm run e2e:upgrade`: everything moves, and no request is lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runProof } from "../support/run-proof.ts";

interface ProofSummary {
  readonly ok: boolean;
  readonly requests: number;
  readonly failed: number;
  readonly closedConnections: number;
  readonly badReleases: readonly {
    readonly name: string;
    readonly undone: boolean;
    readonly cause: string;
    readonly failedShare: number;
  }[];
}

/**
 * How many requests an idle machine sends before the last change has ended. Further ones would prove nothing about the
 * changes.
 */
const requests = 3_500;
/**
 * The fraction of the long form's 360 requests a second. The gateway, the waypoint and the clients of each data plane
 * still carry three to eight requests a second, half of them over new connections.
 */
const rate = 0.05;
const timeLimitMs = 1_180_000;

test("a mesh goes forward and back, forward again and back from the end, and an app 0 -> 10 -> 50 -> 100 -> 0, without a failed request or a connection closed; a bad release is undone", async () => {
  const run = await runProof<ProofSummary>(
    "scripts/proofs/e2e-upgrade.ts",
    [
      "--only",
      "upgrade,canary,bad:rejected-config",
      "--requests",
      String(requests),
      "--rate",
      String(rate),
      "--stream-seconds",
      "15",
    ],
    timeLimitMs,
  );
  assert.equal(run.code, 0, run.output);
  const summary = run.summary();
  assert.deepEqual(
    { ok: summary.ok, failed: summary.failed, closedConnections: summary.closedConnections },
    { ok: true, failed: 0, closedConnections: 0 },
  );
  assert.ok(summary.requests >= requests, `${summary.requests} requests`);
  assert.deepEqual(
    summary.badReleases.map(({ name, undone, failedShare }) => ({ name, undone, failedShare })),
    [{ name: "rejected-config", undone: true, failedShare: 0 }],
  );
});
