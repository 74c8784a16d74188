import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoadFailure } from "../../samples/load-generator/load-plan.ts";
import { caseRequests } from "./case-requests.ts";

const killedMs = Date.parse("2026-11-30T12:00:00.000Z");
const kill = { cause: /ECONNRESET/, fromMs: killedMs, untilMs: killedMs + 3_000 };

function failure(afterMs: number, cause = "ECONNRESET", group = "kept-alive"): LoadFailure {
  return { at: new Date(killedMs + afterMs).toISOString(), target: "page", cause, group };
}

test("a case's own fault explains failures with its text, and only from the fault until what it hit is ready again", () => {
  const unexplained = [failure(-1), failure(3_001), failure(1_000, "status 503")];
  const failures = [failure(0), failure(3_000), ...unexplained];
  assert.deepEqual(caseRequests(5, failures, [kill]), { failed: 3, excused: 2, unexcused: unexplained });
  assert.equal(caseRequests(5, failures, []).failed, 5);
});

test("failures that the generators count without details count as failed", () => {
  assert.equal(caseRequests(700, [failure(1)], [kill]).failed, 699);
  assert.equal(caseRequests(1, [], []).failed, 1);
});

test("a long connection that was closed is no failed request", () => {
  const closed = failure(1, "ECONNRESET", "closed-connection");
  assert.deepEqual(caseRequests(1, [closed, failure(9_000)], [kill]), {
    failed: 1,
    excused: 0,
    unexcused: [failure(9_000)],
  });
});
