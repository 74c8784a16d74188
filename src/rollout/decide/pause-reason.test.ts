import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type CheckStatus, type RolloutStatus } from "../../api/serin/index.ts";
import type { Blocker } from "./blockers.ts";
import { decide } from "./decide.ts";
import { refusedStatus } from "./hold.ts";
import type { DecideInput, RolloutCommands } from "./input.ts";
import type { Observation } from "./observation.ts";
import type { Step } from "./step.ts";
import { input, met, orders } from "./testing/two-steps.ts";

const step: Step = { id: "one", title: "one", namespaces: ["n"], writes: [], settle: [], checks: [] };

function decided(options: Partial<DecideInput> = {}): RolloutStatus {
  return decide(input({ steps: [step], ...options })).status;
}

const begun = decided();
const manual = { ...orders, automaticRollback: false };
const reasonOf = ({ phase, pauseReason, pausedBy }: RolloutStatus): readonly unknown[] => [
  phase,
  pauseReason,
  ...(pausedBy === undefined ? [] : [pausedBy]),
];

test("a pause has its reason: an approval, or a person's order", () => {
  const steps = [{ ...step, pause: { approved: false } }];
  assert.deepEqual(reasonOf(decided({ status: begun, steps, observation: met })), ["Paused", "approval"]);
  assert.deepEqual(reasonOf(decided({ status: begun, orders: { ...orders, paused: true } })), ["Paused", "order"]);
});

test("the command of an approval names the step that waits, so that it never approves the next one", () => {
  const toldFor = (id: string): string => {
    const steps = [{ ...step, id, title: "10 %", pause: { approved: false } }];
    return decided({ status: decided({ steps }), steps, observation: met }).message;
  };
  assert.equal(toldFor("step-2"), "10 %: waits for approval: serin canary promote c -n n --step step-2");
  assert.match(toldFor("the boss's wave/n"), /--step 'the boss'\\''s wave\/n'$/);
  const late: Observation = { ...met, settle: [{ state: "waiting", detail: "0 of 1 ready" }] };
  const failing = decided({ status: begun, orders: { ...manual, settleTimeoutMs: 0 }, observation: late });
  assert.match(failing.message, /approve the step: serin canary promote c -n n --step \S+; or undo it/);
});

test("a step that waits for approval is reported once, even if another release or a new title words it differently", () => {
  const steps = [{ ...step, pause: { approved: false } }];
  const events = (status: RolloutStatus): number =>
    decide(input({ status, steps, observation: met })).actions.filter(({ type }) => type === "event").length;
  const waiting = decided({ status: begun, steps, observation: met });
  assert.deepEqual([events(begun), events(waiting), events({ ...waiting, message: "please approve" })], [1, 0, 0]);
});

test("a pause by order names who ordered it, and why", () => {
  const paused = { ...orders, paused: true, orderedBy: "ann: lunch" };
  assert.equal(
    decided({ status: begun, orders: paused }).message,
    "paused by ann: lunch; let it continue: serin canary resume c -n n",
  );
  assert.equal(
    decided({ status: begun, orders: { ...orders, paused: true } }).message,
    "paused by a person; let it continue: serin canary resume c -n n",
  );
});

test("a waiting rollout has the reason and the name of its first blocker, and neither when it continues", () => {
  const blockers: readonly Blocker[] = [
    { reason: "freeze", by: "holidays", text: "freeze holidays until then (peak)" },
    { reason: "limit", text: "8 rollouts are under way, the limit is 8" },
  ];
  const waiting = decided({ blockers });
  assert.deepEqual(reasonOf(waiting), ["Waiting", "freeze", "holidays"]);
  const limited = decided({ status: waiting, blockers: blockers.slice(1) });
  assert.deepEqual(reasonOf(limited), ["Waiting", "limit"]);
  assert.deepEqual(
    Object.keys(decided({ status: limited })).filter((key) => key.startsWith("pause")),
    [],
  );
});

test("a member of a group that has not ended waits for the group", () => {
  const completedSteps = [{ id: "one", title: "one", startedAt: "", endedAt: "", evidence: [] }];
  const { step: _step, ...between } = begun;
  const group = { notDone: ["Canary shop/b"], notFollowing: [], run: "r" };
  assert.deepEqual(reasonOf(decided({ status: { ...between, completedSteps }, group })), ["Waiting", "group"]);
});

test("a rollout that needs a person has the reason: a check, its samples, a step, or another writer", () => {
  const check = { spec: { ...checkDefaults, type: "pod-health" }, subject: { type: "mesh" } } as const;
  const steps = [{ ...step, checks: [check] }];
  const judged = (verdict: "fail" | "wait"): Observation => ({
    ...met,
    checks: [{ type: "verdict", verdict, evidence: "seen" }],
  });
  assert.deepEqual(reasonOf(decided({ status: begun, steps, observation: judged("fail"), orders: manual })), [
    "Stuck",
    "check",
  ]);
  const failed: Observation = { writes: [], settle: [{ state: "failed", detail: "refused" }], checks: [] };
  assert.deepEqual(reasonOf(decided({ status: begun, observation: failed, orders: manual })), ["Stuck", "step"]);
  const conflict: Observation = { writes: [{ state: "conflict", detail: "changed" }], settle: [], checks: [] };
  assert.deepEqual(reasonOf(decided({ status: begun, observation: conflict })), ["Stuck", "conflict"]);

  const requests = { spec: { ...checkDefaults, type: "request-success-rate" }, subject: { type: "mesh" } } as const;
  const waits: CheckStatus = {
    type: "request-success-rate",
    verdict: "wait",
    evidence: "0 of 100 samples",
    statistic: { waitsFor: "0 of 100 samples", waitsFromMs: 0 },
  };
  const settledAt = "2026-01-01T00:00:00Z";
  const settledForMs = (checkDefaults.timeoutSeconds + 1) * 1000;
  const status = {
    ...begun,
    step: { id: "one", title: "one", startedAt: "", settledAt, settledForMs, checks: [waits] },
  };
  const silent: Observation = { ...met, checks: [{ type: "pending", detail: "0 of 100 samples" }] };
  const unasked = { status, steps: [{ ...step, checks: [requests] }], observation: silent };
  assert.deepEqual(reasonOf(decided(unasked)), ["Stuck", "samples"]);
});

test("a check that waits for samples says until when it does, and each sample moves that time", () => {
  const spec = { ...checkDefaults, type: "request-success-rate" } as const;
  const steps = [{ ...step, checks: [{ spec, subject: { type: "mesh" } }] }] as const;
  const statistic = { waitsFor: "0 of 100 samples", waitsFromMs: 50_000 };
  const waits: CheckStatus = { type: spec.type, verdict: "wait", evidence: "0 of 100 samples", statistic };
  const settled = { id: "one", title: "one", startedAt: "", settledAt: "2026-01-01T00:00:00Z", settledForMs: 60_000 };
  const observation: Observation = { ...met, checks: [{ type: "pending", detail: "0 of 100 samples" }] };
  const nowMs = Date.parse("2026-01-01T00:01:00Z");
  const untilMs = (checks: readonly CheckStatus[]): number => {
    const status = { ...begun, step: { ...settled, checks } };
    const { step: judged } = decided({ status, steps, observation, nowMs, elapsedMs: 0 });
    return Date.parse(judged?.waitsUntil ?? "") - nowMs;
  };
  const limitMs = checkDefaults.timeoutSeconds * 1000;
  assert.equal(untilMs([waits]), limitMs - 10_000);
  assert.equal(untilMs([{ ...waits, statistic: { ...statistic, waitsFromMs: 60_000 } }]), limitMs);
});

test("a check of connections that nobody counts asks for connections, and names ambient's waypoint", () => {
  const type = "tcp-connect-failures";
  const judged = [{ ...step, checks: [{ spec: { ...checkDefaults, type }, subject: { type: "mesh" } }] }] as const;
  const gained = { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 };
  const statistic = { waitsFor: "0 of 100 samples", waitsFromMs: 0, inner: { gained } };
  const waits: CheckStatus = { type, verdict: "wait", evidence: "0 of 100 samples", statistic };
  const settled = { id: "one", title: "one", startedAt: "", settledAt: "2026-01-01T00:00:00Z", checks: [waits] };
  const { message } = decided({
    status: { ...begun, step: { ...settled, settledForMs: (checkDefaults.timeoutSeconds + 1) * 1000 } },
    steps: judged,
    observation: { ...met, checks: [{ type: "pending", detail: "0 of 100 samples" }] },
  });
  assert.match(
    message,
    /; no proxy counts connections to either version, so open some through a sidecar or a gateway, or in ambient through a waypoint, and the rollout continues; /,
  );
});

test("without samples, a Canary may skip its checks, and a MeshUpgrade may let the check only report", () => {
  const spec = { ...checkDefaults, type: "request-success-rate" } as const;
  const judged = [{ ...step, checks: [{ spec, subject: { type: "mesh" } }] }] as const;
  const settled = { id: "one", title: "one", startedAt: "", settledAt: "2026-01-01T00:00:00Z" };
  const late = (checkDefaults.timeoutSeconds + 1) * 1000;
  const statistic = { waitsFor: "0 of 100 samples", waitsFromMs: 0 };
  const waits: CheckStatus = { type: spec.type, verdict: "wait", evidence: "0 of 100 samples", statistic };
  const status = { ...begun, step: { ...settled, settledForMs: late, checks: [waits] } };
  const observation: Observation = { ...met, checks: [{ type: "pending", detail: "0 of 100 samples" }] };
  const told = (commands: Partial<RolloutCommands>, inner?: unknown): string =>
    decided({
      status: { ...status, step: { ...status.step, checks: [{ ...waits, statistic: { ...statistic, inner } }] } },
      steps: judged,
      observation,
      orders: { ...orders, commands: { ...orders.commands, ...commands } },
    }).message;
  assert.match(
    told({ promote: "serin canary promote c --full -n n" }),
    /; send it requests, and the rollout continues; or skip the checks: serin canary promote c --full -n n; or undo it: serin canary abort c -n n$/,
  );
  const gained = { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 };
  assert.match(
    told({}, { gained }),
    /; no proxy counts requests to either version, so send it some through a sidecar or a gateway, or in ambient through a waypoint /,
  );
  assert.match(told({}, { gained: { ...gained, stableTotal: 9 } }), /; send it requests, and the rollout continues/);
  assert.match(
    told({ edit: "kubectl edit meshupgrade u", undo: "serin upgrade rollback u" }),
    /continues; or let the check only report: kubectl edit meshupgrade u, and give request-success-rate dryRun: true in spec.checks, or in the checks of its wave; or undo it: serin upgrade rollback u$/,
  );
  const reports = [{ ...step, checks: [{ spec: { ...spec, dryRun: true }, subject: { type: "mesh" } }] }] as const;
  const dry = decided({ status: { ...status, phase: "Stuck" }, steps: reports, observation });
  assert.deepEqual(
    dry.completedSteps.map(({ id }) => id),
    ["one"],
  );
});

test("a rollback that is blocked has the reason, and none when it continues", () => {
  const journal = { run: 1, setup: 0, completed: false };
  const back = decided({ status: begun, journal, orders: { ...orders, abort: true } });
  assert.deepEqual(reasonOf(back), ["RollingBack", undefined]);
  const conflict = decided({ status: back, journal, undo: { undone: 0, waitingFor: [], conflict: "changed" } });
  assert.deepEqual(reasonOf(conflict), ["Stuck", "conflict"]);
  const undo = { undone: 0, waitingFor: ["Deployment n/a"] };
  const waiting = decided({ status: back, journal, undo, elapsedMs: 121_000 });
  assert.deepEqual(reasonOf(waiting), ["Stuck", "undo"]);
  assert.deepEqual(reasonOf(decided({ status: waiting, journal, undo: { undone: 1, waitingFor: [] } })), [
    "RollingBack",
    undefined,
  ]);
});

test("an older engine's status without a reason gets one, independent of its message", () => {
  const { pauseReason: _reason, ...old } = decided({ status: begun, orders: { ...orders, paused: true } });
  assert.deepEqual(reasonOf(decided({ status: { ...old, message: "?" }, orders: { ...orders, paused: true } })), [
    "Paused",
    "order",
  ]);
  assert.deepEqual(reasonOf(decided({ status: old, observation: met })), ["Progressing", undefined]);
});

const seen = { beginsRun: false, generation: 1, nowMs: Date.parse("2026-01-01T00:00:00Z") };

test("a spec that cannot be executed has the reason, and the cause with the remedy", () => {
  const refusal = { reason: "author", problem: "dev may not: get services", remedy: "grant it" } as const;
  const refused = refusedStatus(begun, refusal, seen);
  assert.deepEqual(reasonOf(refused), ["Stuck", "author"]);
  assert.equal(refused.cause, "dev may not: get services; grant it, or delete the object, which undoes its changes");
  const remedy = "delete this Canary, which undoes its changes, and create it again";
  assert.equal(refusedStatus(begun, { ...refusal, remedy }, seen).cause, `dev may not: get services; ${remedy}`);
});

test("a rollout that has ended stays so when its spec cannot be executed any more, until that is corrected", () => {
  const refusal = { reason: "spec", problem: "Deployment n/web does not exist", remedy: "correct the spec" } as const;
  const undo = { startedAt: "", elapsedMs: 0, waitedMs: 0, waitingFor: [], next: "RolledBack" } as const;
  const back: RolloutStatus = { ...begun, phase: "RolledBack", candidate: "v1", cause: "aborted by ann", undo };
  const told = refusedStatus(back, refusal, seen);
  assert.deepEqual([told.phase, told.undo, told.cause], ["RolledBack", undo, "aborted by ann"]);
  assert.match(told.message, /^Deployment n\/web does not exist; correct the spec/);
  assert.deepEqual(refusedStatus(told, refusal, seen), told, "and nothing changes at the next look");
  const corrected = decided({ status: told, change: { candidate: "v1", watched: true, idle: true } });
  assert.deepEqual([corrected.phase, corrected.message], ["RolledBack", "aborted by ann"]);
  const done: RolloutStatus = { ...begun, phase: "Completed", candidate: "v1", message: "done" };
  assert.equal(refusedStatus(done, refusal, seen).phase, "Completed");
  assert.equal(
    refusedStatus(done, refusal, { ...seen, beginsRun: true }).phase,
    "Stuck",
    "its spec asks for another run",
  );
  const again = decided({ status: refusedStatus(done, refusal, seen), change: { candidate: "v1", watched: true } });
  assert.deepEqual([again.phase, again.message], ["Completed", "done"]);
});
