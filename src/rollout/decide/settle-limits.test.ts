import assert from "node:assert/strict";
import { test } from "node:test";
import type { RolloutStatus, StepStatus } from "../../api/serin/index.ts";
import { decide } from "./decide.ts";
import type { DecideInput, Decision } from "./input.ts";
import type { Observation } from "./observation.ts";
import type { Step } from "./step.ts";
import { begun, first, input, last, met, nowMs, object, orders, reasons, waiting } from "./testing/two-steps.ts";

test("unsettled parts are listed, the weight appears once settled, and a clock that jumps a day neither fails nor soaks the step", () => {
  const step = { ...first, holdMs: 1000 };
  const seen = decide(input({ status: begun, steps: [step, last], observation: waiting, nowMs: nowMs + 86_400_000 }));
  assert.deepEqual(
    [seen.status.phase, seen.status.step?.waitingFor, seen.status.weight],
    ["Progressing", ["0 of 1 ready"], undefined].with(0, "Settling"),
  );
  const settled = decide(
    input({ status: seen.status, steps: [step, last], observation: met, nowMs: nowMs - 86_400_000 }),
  ).status;
  assert.deepEqual([settled.phase, settled.weight, settled.step?.waitingFor], ["Soaking", 10, undefined]);
  assert.equal(
    decide(input({ status: settled, steps: [step, last], observation: met, nowMs: nowMs + 864_000_000 })).status.phase,
    "Soaking",
  );
  assert.equal(
    decide(input({ status: settled, steps: [step, last], observation: met, elapsedMs: 1000 })).status.completedSteps
      .length,
    1,
  );
});

test("a step that does not settle because of an obstacle that a person must remove is Stuck at its limit, and not undone", () => {
  const obstacle = { toDo: "see that the operator runs" };
  const observation: Observation = {
    writes: [],
    settle: [{ state: "waiting", detail: "istiod runs", obstacle }],
    checks: [],
  };
  const late = decide(input({ status: begun, observation, elapsedMs: 300_001 }));
  assert.equal(late.status.phase, "Stuck");
  assert.match(late.status.message, /istiod runs; see that the operator runs$/);
  const { status } = decide(input({ status: late.status, observation: { ...observation, settle: [] } }));
  assert.notEqual(status.phase, "RollingBack");
});

test("a patient step has no time limit, but its obstacles have one, which counts from the step's last progress", () => {
  const steps = [{ ...first, patient: true }, last];
  let { status } = decide(input());
  const look = (elapsedMs: number, state: Readonly<Record<string, unknown>>): string => {
    const settle = [{ state: "waiting", detail: "held", ...state }] as Observation["settle"];
    ({ status } = decide(input({ status, steps, elapsedMs, observation: { writes: [], settle, checks: [] } })));
    return status.phase;
  };
  assert.equal(look(4_000_000, { left: 9 }), "Settling");
  assert.equal(look(100, { left: 8, obstacle: {} }), "Settling", "it has just made progress");
  assert.equal(look(299_000, { left: 8, obstacle: {} }), "Settling");
  assert.equal(look(2000, { left: 8 }), "Settling", "the obstacle is gone");
  const person = { left: 8, obstacle: { toDo: "raise it" } };
  assert.equal(look(100, person), "Stuck", "only a person can go on");
  assert.deepEqual([status.pauseReason, status.message], ["conflict", "one: held; raise it"]);
  assert.equal(look(100, { left: 7 }), "Settling", "somebody has");
  assert.equal(look(300_001, { left: 7, obstacle: {} }), "RollingBack");
  assert.match(status.cause ?? "", /^one did not settle in 4601 s, the last 300 s of them without progress: held$/);
});

test("a patient step's next write counts as due however long the step has taken, unless somebody keeps undoing the write", () => {
  const object = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "web", namespace: "n" };
  const writes = [{ type: "field", object, pointer: "/spec/a", value: 1, restart: "template" }] as const;
  const steps = [{ ...first, patient: true, writes }, last];
  const { status: begunPatient } = decide(input({ steps }));
  const settle: Observation["settle"] = [{ state: "waiting", detail: "1 of 2 moved", left: 1 }];
  let { status } = decide(
    input({
      status: begunPatient,
      steps,
      elapsedMs: 4_000_000,
      observation: { writes: [{ state: "done" }], settle, checks: [] },
    }),
  );
  const write = (state: object, more: Partial<DecideInput> = {}): string => {
    const observation: Observation = { writes: [{ state: "pending", ...state }], settle: [], checks: [] };
    ({ status } = decide(input({ status, steps, elapsedMs: 5000, observation, ...more })));
    return status.phase;
  };
  assert.equal(write({ isFirst: true }), "Progressing");
  // Between the repetitions of an earlier write, the next write is due for a short time, in which the step does not
  // write it.
  const moment = { failedWrite: { detail: "somebody restores the earlier value", waits: true } };
  for (let ms = 0; ms < 300_000; ms += 10_000) {
    assert.equal(write({}), "Progressing");
    assert.equal(write({ isFirst: true }, moment), "Progressing");
  }
  assert.equal(write({}), "RollingBack");
  assert.match(status.cause ?? "", /what it writes is overwritten or refused: Deployment n\/web \/spec\/a/);
});

test("a write that is due again after a long wait has the whole limit, but a fight over it ends", () => {
  const writes = [{ type: "field", object, pointer: "/a", value: 1 }] as const;
  const steps = [{ ...first, patient: true, writes }, last];
  for (const [waitedMs, secondsLeft] of [
    [400_000, 300],
    [100_000, 200],
  ] as const) {
    let { status } = decide(input({ steps }));
    let now = nowMs;
    const look = (observation: Observation): string => {
      now += 5000;
      ({ status } = decide(input({ status, steps, observation, elapsedMs: 5000, nowMs: now })));
      return status.phase;
    };
    for (let ms = 0; ms < waitedMs; ms += 5000)
      assert.equal(look({ ...waiting, writes: [{ state: "done" }] }), "Settling");
    // The engine journaled the write before the wait, but has not done it yet. Or somebody has undone it now.
    const due: Observation = { writes: [{ state: "pending", by: "somebody" }], settle: [], checks: [] };
    let seconds = 0;
    while (look(due) === "Progressing") seconds += 5;
    assert.equal(status.phase, "RollingBack");
    assert.ok(Math.abs(seconds - secondsLeft) <= 10, `${seconds} s after ${waitedMs} ms`);
  }
});

test("a patient step whose first write the server refuses again and again fails like any other", () => {
  const steps = [
    { ...first, patient: true, writes: [{ type: "field", object, pointer: "/a", value: 1 }] },
    last,
  ] as const;
  const observation: Observation = { writes: [{ state: "pending", isFirst: true }], settle: [], checks: [] };
  let { status } = decide(input({ steps }));
  for (let ms = 0; ms <= 305_000; ms += 5000)
    ({ status } = decide(
      input({ status, steps, elapsedMs: 5000, observation, failedWrite: { detail: "denied", waits: false } }),
    ));
  assert.match(status.cause ?? "", /overwritten or refused: .*: denied$/);
});

test("a repeated write says who undoes it, and the status names them when it waits to repeat it", () => {
  const steps: Step[] = [{ ...first, writes: [{ type: "field", object, pointer: "/data/a", value: "1" }] }, last];
  const look = (state: object, more: Partial<DecideInput> = {}): Decision => {
    const observation: Observation = { writes: [{ state: "pending", ...state }], settle: [], checks: [] };
    return decide(input({ status: begun, steps, observation, ...more }));
  };
  assert.equal(look({ isFirst: true }).repeats, undefined);
  const { detail = "" } = look({ by: "argocd at 2026-01-01T00:00:00Z" }).repeats ?? {};
  assert.equal(
    detail,
    "argocd at 2026-01-01T00:00:00Z restores the earlier value; configure it to leave the field alone",
  );
  assert.match(
    look({ isRewritten: true }).repeats?.detail ?? "",
    /^an admission webhook changes what the engine writes; let it/,
  );
  const waits = look({ by: "argocd" }, { failedWrite: { detail, waits: true } });
  assert.deepEqual([waits.repeats, reasons(waits), waits.status.message], [undefined, [], `one: ${detail}`]);
  const over = look({ by: "argocd" }, { failedWrite: { detail, waits: true }, elapsedMs: 300_001 });
  assert.match(over.status.cause ?? "", /overwritten or refused: ConfigMap n\/c \/data\/a: argocd at .* restores/);
});

test("a step whose number an autoscaler keeps changing fails because of what it waits for, and not because of its writes", () => {
  const writes = [{ type: "field", object, pointer: "/a", value: 1 }] as const;
  const steps = [{ ...first, writes }, last] as const;
  const replanned: Observation["writes"] = [{ state: "pending", isReplanned: true }];
  const contested: Observation["writes"] = [{ state: "pending", by: "argocd" }];
  for (const [pending, cause] of [
    [replanned, /^one did not settle in .*: 0 of 1 ready$/],
    [contested, /overwritten or refused/],
  ] as const) {
    const settling: Observation = { ...waiting, writes: [{ state: "done" }] };
    const { status } = decide(input({ status: begun, steps, observation: settling, elapsedMs: 200_000 }));
    const failed = decide(input({ status, steps, observation: { ...waiting, writes: pending }, elapsedMs: 100_001 }));
    assert.equal(failed.status.phase, "RollingBack");
    assert.match(failed.status.cause ?? "", cause);
  }
});

test("a step whose plan was edited settles again, and what it had measured does not count", () => {
  const steps: Step[] = [{ ...first, writes: [{ type: "field", object, pointer: "/data/a", value: "2" }] }, last];
  const checks = [{ type: "restarts", verdict: "wait", evidence: "" } as const];
  const step = {
    id: "one",
    title: "one",
    startedAt: "",
    settledAt: "2026-01-01T00:00:00Z",
    settledForMs: 9000,
    checks,
  };
  const stepAfter = (state: object, before: object = step, more: Partial<DecideInput> = {}): StepStatus | undefined => {
    const observation: Observation = { writes: [{ state: "pending", ...state }], settle: [], checks: [] };
    const status = { ...begun, phase: "Judging", step: before as StepStatus } as const;
    return decide(input({ status, steps, observation, ...more })).status.step;
  };
  const { settledAt: _settled, settledForMs: _forMs, ...unsettled } = step;
  const waited = { settlingMs: 100, stalledMs: 100, settlingLeft: 1e15 };
  assert.deepEqual(stepAfter({ isReplanned: true }), { ...unsettled, checks: [], ...waited });
  assert.deepEqual(stepAfter({ isRewritten: true }), { ...unsettled, checks: [], ...waited });
  assert.deepEqual(
    stepAfter({ by: "argocd" }),
    { ...unsettled, settledForMs: 9000, ...waited },
    "it only settles again, with the whole limit",
  );
  const long = { ...step, settlingMs: 250_000, stalledMs: 250_000 };
  const other = stepAfter({ isReplanned: true }, { ...long, title: "another number" });
  assert.deepEqual([other?.title, other?.stalledMs], ["one", 0], "another number is a new goal");
  const refused = { failedWrite: { detail: "422: immutable", waits: false } };
  assert.equal(stepAfter({ isReplanned: true }, long, refused)?.stalledMs, 250_100, "the same one may be refused");
});

test("a step with a write that is not yet due has not settled, and writes nothing", () => {
  const later: Observation = {
    writes: [{ state: "later", detail: "the template is the old one" }],
    settle: [{ state: "met" }],
    checks: [],
  };
  const { status, actions } = decide(input({ status: begun, observation: later }));
  assert.equal(status.step?.settledAt, undefined);
  assert.deepEqual(status.step?.waitingFor, ["the template is the old one"]);
  assert.deepEqual(actions, []);
});

test("a settled step settles again while a write that an edit has made due waits, and its checks do not fail", () => {
  const checks = [{ type: "restarts", verdict: "wait", evidence: "" } as const];
  const step = {
    ...begun.step,
    id: "one",
    title: "one",
    startedAt: "",
    settlingMs: 250_000,
    stalledMs: 250_000,
    checks,
  };
  const settled = { ...step, settledAt: "2026-01-01T00:00:00Z", settledForMs: 9000 };
  const detail = "Service n/stable has no ready pod";
  const observation: Observation = { writes: [{ state: "later", detail }], settle: [], checks: [] };
  const judged: RolloutStatus = { ...begun, phase: "Judging", step: settled };
  const { status } = decide(input({ status: judged, observation }));
  assert.deepEqual([status.phase, status.message], ["Settling", `one: ${detail}`]);
  assert.deepEqual([status.step?.settledAt, status.step?.stalledMs], [undefined, 0], "it has the whole limit again");
  assert.deepEqual(status.step?.checks, checks);
  const failedChecks = [{ type: "restarts", verdict: "fail", evidence: "3 restarts" } as const];
  const failed = {
    ...judged,
    phase: "Stuck",
    pauseReason: "check",
    step: { ...settled, checks: failedChecks },
  } as const;
  const kept = decide(input({ status: failed, observation, orders: { ...orders, automaticRollback: false } })).status;
  assert.deepEqual(kept.step?.settledAt, settled.settledAt, "a person decides on the failure");
});

test("a step that does not settle within the spec's time is rolled back, and the cause names the unsettled part", () => {
  const failed = decide(input({ status: begun, observation: waiting, orders: { ...orders, settleTimeoutMs: 50 } }));
  assert.equal(failed.status.phase, "RollingBack");
  assert.match(failed.status.cause ?? "", /one did not settle in 0.05 s: 0 of 1 ready/);
});

test("a refused write is in the message, is repeated later, and is the cause of the rollback", () => {
  const steps = [{ ...first, writes: [{ type: "field", object, pointer: "/data/a", value: "b" } as const] }, last];
  const observation: Observation = { writes: [{ state: "pending", prior: undefined }], settle: [], checks: [] };
  const given = input({ status: begun, steps, observation, failedWrite: { detail: "422: immutable", waits: true } });
  const waits = decide(given);
  assert.equal(waits.status.message, "one: 422: immutable");
  assert.deepEqual(waits.actions, []);
  const again = decide({ ...given, failedWrite: { detail: "422: immutable", waits: false } });
  assert.deepEqual(reasons(again), ["journal", "write"]);
  const failed = decide({ ...given, orders: { ...orders, settleTimeoutMs: 50 } });
  assert.match(failed.status.cause ?? "", /or refused: .*\/data\/a: 422: immutable$/);
});

test("what a step starts has the whole limit after the server has refused the step's first writes", () => {
  const steps = [{ ...first, writes: [{ type: "field", object, pointer: "/data/a", value: "b" } as const] }, last];
  const hasty = { ...orders, settleTimeoutMs: 60_000 };
  const unwritten: Observation = { writes: [{ state: "pending", prior: undefined }], settle: [], checks: [] };
  const started: Observation = { ...waiting, writes: [{ state: "done" }] };
  let { status } = input({ status: begun });
  const look = (observation: Observation, more: Partial<DecideInput> = {}): string => {
    ({ status } = decide(input({ status, steps, observation, elapsedMs: 5000, orders: hasty, ...more })));
    return status.phase;
  };
  const refused = { failedWrite: { detail: "the journal is full", waits: false } };
  for (let ms = 0; ms < 55_000; ms += 5000) assert.equal(look(unwritten, refused), "Progressing");
  for (let ms = 0; ms <= 60_000; ms += 5000) assert.equal(look(started), "Settling");
  // A refusal of another write gives the step no more time.
  assert.equal(look(unwritten, refused), "RollingBack");
});

test("a slow machine is no failure: the limit counts from the last progress, and has an absolute maximum", () => {
  const limited = { ...orders, settleTimeoutMs: 1000 };
  const left = (count: number): Observation => ({
    writes: [],
    settle: [{ state: "waiting", detail: `${count} pods are missing`, left: count }],
    checks: [],
  });
  const after = (counts: readonly number[], elapsedMs: number) => {
    let status: RolloutStatus = begun;
    for (const count of counts)
      if (status.phase !== "RollingBack")
        status = decide(input({ status, observation: left(count), orders: limited, elapsedMs })).status;
    return status;
  };
  // The step takes five times the limit in total, but is never without progress for as long as the limit.
  assert.equal(after([9, 8, 7, 6, 5, 4, 3, 2], 700).phase, "Settling");
  assert.match(after([9, 8, 8, 8, 8], 400).cause ?? "", /did not settle in 2 s, the last 1 s of them without progress/);
  // A missing item that appears and disappears is no progress.
  assert.equal(after([2, 1, 2, 1, 2, 1], 300).phase, "RollingBack");
  const endless = after(
    Array.from({ length: 100 }, (_one, index) => 1000 - index),
    900,
  );
  assert.match(endless.cause ?? "", /did not settle in 11 s, although it made progress/);
});

test("a waiting status states start and deadline, and changes only on progress or delay", () => {
  const limited = { ...orders, settleTimeoutMs: 60_000 };
  const look = (status: RolloutStatus, count: number, atMs: number) =>
    decide(
      input({
        status,
        orders: limited,
        observation: { writes: [], settle: [{ state: "waiting", detail: "x", left: count }], checks: [] },
        nowMs: nowMs + atMs,
        elapsedMs: 100,
      }),
    ).status;
  const times = ({ step }: RolloutStatus) =>
    [step?.waitingSince, step?.waitsUntil].map((time) => (Date.parse(time ?? "") - nowMs) / 1000);
  const one = look(begun, 3, 0);
  assert.deepEqual(times(one), [0, 60]);
  const two = look(one, 3, 120);
  assert.deepEqual(times(two), [0, 60]);
  const nearer = look(two, 2, 5000);
  assert.deepEqual(times(nearer), [5, 65]);
  const held = look(nearer, 2, 65_000);
  assert.deepEqual(times(held), [5, 125]);
  const settled = decide(input({ status: held, observation: met })).status.completedSteps;
  assert.equal(settled.length, 1);
});

test("a patient step states the deadline of a condition with its own limit, and no deadline without one", () => {
  const steps = [{ ...first, patient: true }, last];
  const until = (more: object): string | undefined => {
    const settle = [
      { state: "waiting", detail: "x", left: 1 },
      { state: "waiting", detail: "y", left: 1, ...more },
    ] as Observation["settle"];
    return decide(input({ status: begun, steps, observation: { writes: [], settle, checks: [] } })).status.step
      ?.waitsUntil;
  };
  assert.equal(until({}), undefined);
  assert.equal(until({ failsInMs: 90_000 }), new Date(nowMs + 90_000).toISOString());
});
