import assert from "node:assert/strict";
import { test } from "node:test";
import { lostEntry, roundsOf, underWay } from "./testing/one-canary.ts";

const undoing = { startedAt: "", elapsedMs: 0, waitedMs: 0, waitingFor: [], next: "RolledBack" } as const;

test("a rollout whose journal is gone is Stuck with its journal's name, and does not end as rolled back", async () => {
  const canary = roundsOf({
    status: {
      ...underWay,
      phase: "RollingBack",
      cause: "a check failed",
      undo: undoing,
      journaled: { objects: ["HTTPRoute shop/web"] },
    },
    journal: { entries: [], decisions: [], missing: true },
  });
  await canary.run(1);
  assert.deepEqual(canary.appended, [], "the status says first that the journal is lost");
  await canary.run(3);
  const { phase, message } = canary.status();
  assert.equal(phase, "Stuck");
  assert.deepEqual(canary.appended, [lostEntry], "it looks once");
  assert.match(
    message,
    /^its journal canary\.shop\.web is gone, .* of HTTPRoute shop\/web\. .* kubectl annotate --overwrite canary\.rollout\.serin\.dev web -n shop rollout\.serin\.dev\/without-journal=/,
  );
  assert.deepEqual(canary.events(), ["Stuck", "Stuck"], "once more when it has looked at the objects");
});

test("a Canary of a Deployment without its journal derives entries only if its plan shows them", async () => {
  const spec = { target: { deployment: { name: "web", service: "web" } } };
  const journaled = { objects: ["Deployment shop/web"] };
  const journal = { entries: [], decisions: [], missing: true } as const;
  for (const [lostRun, appended] of [
    [undefined, []],
    [{ steps: [] }, [lostEntry]],
  ] as const) {
    const status = { ...underWay, phase: "RollingBack", cause: "x", undo: undoing, journaled } as const;
    const canary = roundsOf({ spec, status, journal, ...(lostRun === undefined ? {} : { lostRun }) });
    await canary.run(4);
    assert.deepEqual([canary.status().phase, canary.appended], ["Stuck", appended]);
  }
});

test("a rollout whose journal somebody has replaced by an older one is Stuck, says who, and undoes nothing by it", async () => {
  const journaled = { objects: ["HTTPRoute shop/web"], sum: "2 b" };
  const journal = { entries: [lostEntry], decisions: [], undoSum: "1 a", writer: "kubectl-replace" };
  const canary = roundsOf({ spec: { abort: true }, status: { ...underWay, journaled }, journal });
  canary.recover();
  await canary.run(70);
  const { phase, message } = canary.status();
  assert.equal(phase, "Stuck");
  assert.match(
    message,
    /RolloutJournal canary\.shop\.web: kubectl-replace has put back another state of it, .* kubectl annotate rolloutjournal canary\.shop\.web /,
  );
  const own = { entries: [{ ...lostEntry, step: "step-1" }], decisions: [], undoSum: "1 a" };
  const back = roundsOf({ spec: { abort: true }, status: { ...underWay, journaled }, journal: own });
  back.recover();
  await back.run(1);
  assert.deepEqual([back.status().phase, back.status().journaled?.sum], ["RollingBack", "1 a"]);
});

test("between the start of a run and its first entry, the journal of an earlier run is not taken for this run's", async () => {
  const entry = { ...lostEntry, step: "step-1" };
  const decisions = [{ at: "", run: 1, decision: "StepDone", message: "" }];
  const journal = { entries: [entry], decisions, undoSum: "1 a", writer: "velero-server" };
  const status = { ...underWay, run: 2 };
  const canary = roundsOf({ spec: { abort: true }, status, journal });
  canary.recover();
  await canary.run(70);
  assert.deepEqual(
    [canary.status().phase, canary.status().journaled, canary.events()],
    ["Stuck", undefined, ["Stuck"]],
  );
  assert.match(
    canary.status().message,
    /velero-server has put back the state that it had in run 1, .* kubectl delete rolloutjournal canary\.shop\.web/,
  );
  const own = { ...journal, decisions: [...decisions, { at: "", run: 2, decision: "Started", message: "" }] };
  const back = roundsOf({ spec: { abort: true }, status, journal: own });
  back.recover();
  await back.run(1);
  assert.equal(back.status().phase, "RollingBack");
});
