import assert from "node:assert/strict";
import { test } from "node:test";
import {
  checkDefaults,
  type MeantRule,
  type RolloutStatus,
  type StepStatus,
  type UndoCause,
} from "../../api/serin/index.ts";
import type { Blocker } from "./blockers.ts";
import { decide, initialStatus } from "./decide.ts";
import type { DecideInput, Decision } from "./input.ts";
import type { Observation, UndoReport } from "./observation.ts";
import { orderedSteps } from "./planned-steps.ts";
import type { Step } from "./step.ts";
import { begun, first, input, last, met, nowMs, object, orders, plain, reasons, waiting } from "./testing/two-steps.ts";

test("a run begins with its plan, the namespaces of all its steps, and a name for its candidate", () => {
  const { plannedSteps, namespaces, run, candidate, phase } = begun;
  assert.deepEqual(
    { plannedSteps, namespaces, run, candidate, phase },
    {
      plannedSteps: [
        { id: "one", title: "one" },
        { id: "two", title: "two" },
      ],
      namespaces: ["m", "n"],
      run: 1,
      candidate: "v1",
      phase: "Progressing",
    },
  );
});

test("the first event of a run warns of what its spec asks for without an effect", () => {
  const startOf = (remarks: readonly string[]) => {
    const { actions } = decide(input({ change: { candidate: "v1", watched: false, remarks } }));
    const [start] = actions.flatMap((action) =>
      action.type === "event" && action.reason === "Started" ? [action] : [],
    );
    return [start?.message, start?.warning];
  };
  assert.deepEqual(startOf([]), ["2 steps, the first: one", false]);
  assert.deepEqual(startOf(["spec.checks[0]: has no effect"]), [
    "2 steps, the first: one; spec.checks[0]: has no effect",
    true,
  ]);
});

test("a finished step stays in the plan and its progress, at its place, when the cluster no longer asks for it", () => {
  const middle: Step = { ...plain, id: "middle", title: "middle" };
  const { step: _step, ...planned } = decide(input({ steps: [first, middle, last] })).status;
  const done = (id: string) => ({ id, title: id, startedAt: "", endedAt: "", evidence: [] });
  const status = { ...planned, completedSteps: [done("one"), done("middle")] };
  const after = decide(input({ steps: [first, last], status })).status;
  assert.deepEqual([after.plannedSteps?.map(({ id }) => id), after.progress], [["one", "middle", "two"], "2/3"]);
  const never = decide(input({ steps: [first, last], status: planned })).status;
  assert.deepEqual([never.plannedSteps?.map(({ id }) => id), never.progress], [["one", "two"], "0/2"]);
});

test("a finished step keeps its title when the plan has other numbers, and a step gets the title of what it writes", () => {
  const recounted: Step[] = [first, last].map((step) => ({
    ...step,
    title: `${step.title} of 9 pods`,
    writes: [{ type: "field", object, pointer: "/data/a", value: "9" }],
  }));
  const { step: _step, ...others } = begun;
  const completedSteps = [{ id: "one", title: "one of 3 pods", startedAt: "", endedAt: "", evidence: [] }];
  const after = decide(input({ steps: recounted, status: { ...others, completedSteps } })).status;
  assert.deepEqual(
    after.plannedSteps?.map(({ title }) => title),
    ["one of 3 pods", "two of 9 pods"],
  );
  const look = (state: Observation["writes"][number]): string | undefined =>
    decide(input({ steps: recounted, status: begun, observation: { ...waiting, writes: [state] } })).status.step?.title;
  assert.equal(look({ state: "done" }), "one");
  assert.equal(look({ state: "pending", isReplanned: true }), "one of 9 pods");
});

test("a run remembers what it moves, whatever the spec says later", () => {
  const { status } = decide(input({ orders: { ...orders, moves: "a" } }));
  assert.equal(status.moves, "a");
  const { step: _step, ...between } = status;
  assert.equal(decide(input({ status: between, orders: { ...orders, moves: "b" } })).status.moves, "a");
});

test("the rule that a position means is recorded at once, later runs keep it, and it stays while another rollout comes first", () => {
  const meantRule: MeantRule = { route: "r", rule: 0, target: "t", index: 0, from: 0, known: ["a"], length: 1 };
  const later = { ...meantRule, index: 1 };
  const change = { candidate: "v1", watched: false, meantRule };
  const { status } = decide(input({ change }));
  assert.deepEqual(status.meantRule, meantRule);
  const freeze: Blocker = { reason: "freeze", by: "holidays", text: "freeze" };
  const rival: Blocker = { reason: "rollout", by: "Canary a/b", text: "Canary a/b moves the same target" };
  assert.deepEqual(decide(input({ change, blockers: [freeze] })).status.meantRule, meantRule);
  assert.deepEqual(decide(input({ change, blockers: [freeze, rival] })).status.meantRule, meantRule);
  const { step: _step, ...before } = status;
  const blocked = decide(input({ status: before, change: { ...change, meantRule: later }, blockers: [rival] }));
  assert.deepEqual(blocked.status.meantRule, meantRule);
  const another = { ...later, rule: 1 };
  const edited = decide(input({ status: before, change: { ...change, meantRule: another }, blockers: [rival] }));
  assert.deepEqual(edited.status.meantRule, another, "the target names another position now");
  const ended: RolloutStatus = { ...before, phase: "Completed", endedAt: new Date(nowMs).toISOString() };
  const next = decide(input({ status: ended, change: { candidate: "v2", watched: false } }));
  assert.deepEqual([next.status.phase, next.status.meantRule], ["Planned", meantRule]);
});

test("a blocker is named, reported once, and reported again only when it changes", () => {
  const freeze: Blocker = { reason: "freeze", by: "holidays", text: "freeze holidays until then" };
  const rival: Blocker = { reason: "rollout", by: "Canary a/b", text: "Canary a/b has reserved namespace n" };
  const held = decide(input({ blockers: [freeze] }));
  assert.deepEqual(
    [held.status.phase, held.status.message, reasons(held)],
    ["Waiting", "waits: freeze holidays until then", ["Waiting"]],
  );
  const later = { ...freeze, text: "freeze holidays until later" };
  assert.deepEqual(reasons(decide(input({ status: held.status, blockers: [later] }))), []);
  assert.deepEqual(reasons(decide(input({ status: held.status, blockers: [rival] }))), ["Waiting"]);
});

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
  // Between the repetitions of an earlier write, the next write is due for moments, in which nothing is written.
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
    // The engine has journaled the write before the wait and not done it, or somebody has undone it now.
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

test("a watched change that is held begins no run, and the status says why until it may", () => {
  const held = "a change waits, because Deployment n/web has 0 replicas";
  const change = { candidate: "v2", watched: true } as const;
  const { step: _, ...rest } = begun;
  for (const phase of ["Watching", "Completed", "RolledBack"] as const) {
    const status = { ...rest, phase, run: phase === "Watching" ? 0 : 1, candidate: "v1", message: "done" };
    const waits = decide(input({ status, steps: [], change: { ...change, idle: true, held } }));
    assert.deepEqual([waits.status.phase, waits.status.message, waits.actions], [phase, held, []]);
    assert.equal(decide(input({ status: waits.status, change })).status.phase, "Planned");
  }
});

test("an upgrade of many steps keeps the evidence of the latest, so that its status fits in an object", () => {
  const done = (index: number) => ({ id: `s${index}`, title: "t", startedAt: "", endedAt: "", evidence: ["x"] });
  const completedSteps = Array.from({ length: 400 }, (_one, index) => done(index));
  const { status } = decide(
    input({ status: { ...begun, completedSteps }, steps: [{ ...first, settle: [] }, last], observation: plain }),
  );
  assert.equal(status.completedSteps.length, 401);
  assert.equal(status.completedSteps.filter(({ evidence }) => evidence.length > 0).length, 199);
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
  // Another refusal gives no more time.
  assert.equal(look(unwritten, refused), "RollingBack");
});

test("a rollback keeps the kind of its cause until its end, whatever started it", () => {
  const hasty = { ...orders, settleTimeoutMs: 50 };
  const write = { type: "field", object, pointer: "/data/a", value: "b" } as const;
  const cannot: Observation = { writes: [], settle: [{ state: "failed", detail: "refused" }], checks: [] };
  const unwritten: Observation = { writes: [{ state: "pending", prior: undefined }], settle: [], checks: [] };
  const watched = { candidate: "v2", watched: true };
  const journal = { run: 1, setup: 0, completed: false };
  const cases: readonly (readonly [string, DecideInput])[] = [
    ["settle-timeout", input({ status: begun, observation: waiting, orders: hasty })],
    [
      "preflight",
      input({ status: begun, steps: [{ ...first, phase: "Preflight" }, last], observation: waiting, orders: hasty }),
    ],
    ["settle-failed", input({ status: begun, observation: cannot })],
    [
      "write",
      input({ status: begun, steps: [{ ...first, writes: [write] }, last], observation: unwritten, orders: hasty }),
    ],
    ["order", input({ status: begun, orders: { ...orders, abort: true } })],
    ["superseded", input({ status: begun, change: watched })],
    ["reverted", input({ status: begun, change: { ...watched, idle: true } })],
    ["leftover", input({ journal })],
    ["deletion", input({ status: begun, journal, orders: { ...orders, deletion: "Rollback" } })],
  ];
  for (const [because, given] of cases) {
    const begunBack = decide(given).status;
    assert.deepEqual([begunBack.phase, begunBack.undo?.because], ["RollingBack", because]);
    const ended = decide(
      input({ status: begunBack, orders: given.orders, undo: { undone: 1, waitingFor: [] } }),
    ).status;
    assert.deepEqual([ended.phase, ended.undo?.because], ["RolledBack", because]);
  }
});

test("what an earlier object of the name has left is undone with its preparation before a watched target is prepared", () => {
  const watched = { candidate: "", watched: true };
  const journal = { run: 2, setup: 1, completed: false, isLeftover: true };
  const given = input({ steps: [], change: watched, journal });
  const { status, actions } = decide(given);
  assert.deepEqual([status.phase, status.undo?.because, status.undo?.next], ["RollingBack", "leftover", "NewRun"]);
  assert.deepEqual(actions.at(-1), { type: "undo", scope: "all", passOver: false });
  const half = decide({ ...given, status, journal: { run: 0, setup: 1, completed: false, isLeftover: true } });
  assert.deepEqual(half.actions.at(-1), { type: "undo", scope: "all", passOver: false });
  const none = { run: 0, setup: 0, completed: false };
  const undone = decide({ ...given, status: half.status, journal: none, undo: { undone: 3, waitingFor: [] } }).status;
  assert.equal(undone.phase, "RolledBack");
  const setup: Step = { ...first, id: "hold", setup: true };
  const idle = { candidate: "v1", watched: true, idle: true };
  const again = decide(input({ status: undone, steps: [setup], change: idle, journal: none })).status;
  assert.deepEqual([again.phase, again.undo, again.run], ["Planned", undefined, undefined]);
  assert.equal(decide(input({ status: again, steps: [setup], change: idle, journal: none })).status.step?.id, "hold");
});

test("what a completed earlier object has left stays, and only its preparation is undone", () => {
  const journal = { run: 2, setup: 1, completed: true, isLeftover: true };
  assert.deepEqual(reasons(decide(input({ journal }))), ["forget"]);
  const kept = decide(input({ journal: { ...journal, run: 0 } }));
  assert.deepEqual(kept.actions.at(-1), { type: "undo", scope: "all", passOver: false });
  const leave = { ...orders, deletion: "Leave" } as const;
  const unprepared = { ...journal, setup: 0, completed: false };
  assert.deepEqual(reasons(decide(input({ journal: unprepared, orders: leave }))), ["forget"]);
  const aborted = decide(input({ journal: { ...journal, completed: false }, orders: { ...orders, abort: true } }));
  assert.deepEqual(
    [aborted.status.undo?.next, aborted.actions.at(-1)],
    ["RolledBack", { type: "undo", scope: "all", passOver: false }],
  );
});

test("a failed check's type is stored beside the cause, without its name", () => {
  const backends = {
    type: "backends",
    canary: { service: "next", namespace: "n" },
    stable: { service: "shop", namespace: "n" },
    expectedShare: 50,
    atLeast: false,
  } as const;
  const judged: Step = {
    ...first,
    checks: [{ spec: { ...checkDefaults, type: "request-success-rate", name: "of our own" }, subject: backends }],
  };
  const counted = (canaryTotal: number, canaryErrors: number): Observation => ({
    ...met,
    checks: [
      {
        type: "counters",
        sources: { "n/gateway": { canaryTotal, canaryErrors, stableTotal: canaryTotal, stableErrors: 0 } },
      },
    ],
  });
  const looked = decide(input({ status: begun, steps: [judged, last], observation: counted(0, 0) })).status;
  const { cause, undo } = decide(
    input({ status: looked, steps: [judged, last], observation: counted(500, 400), elapsedMs: 1000 }),
  ).status;
  assert.deepEqual(
    [undo?.because, undo?.check, cause?.startsWith("one: of our own: canary 400 of 500 failed")],
    ["check", "request-success-rate", true],
  );
});

test("a conflicting field stops the rollout until it is restored, and then it continues by itself", () => {
  const conflict: Observation = {
    writes: [{ state: "conflict", detail: "ConfigMap n/c: /data/a was changed by kubectl" }],
    settle: [],
    checks: [],
  };
  const stuck = decide(input({ status: begun, observation: conflict }));
  assert.deepEqual([stuck.status.phase, reasons(stuck)], ["Stuck", ["Stuck"]]);
  assert.match(
    stuck.status.message,
    /changed by kubectl; restore it, and the rollout continues; or undo it: serin canary abort c -n n$/,
  );
  const again = decide(input({ status: stuck.status, observation: met }));
  assert.deepEqual([again.status.cause, reasons(again)], [undefined, ["Resumed", "StepDone"]]);
});

test("a full promotion skips optional steps, checks and pauses, and records who ordered it", () => {
  const promotedOrders = { ...orders, fullPromotion: { by: "ann", why: "security fix" } };
  const pausing = {
    ...last,
    pause: { approved: false },
    holdMs: 9,
    checks: [{ spec: { ...checkDefaults, type: "request-success-rate" }, subject: { type: "mesh" } }],
  } as const;
  const steps = orderedSteps([first, pausing], promotedOrders, begun);
  assert.deepEqual(steps, [{ ...plain, id: "two", title: "two", namespaces: ["m"], essential: true }]);
  const decision = decide(input({ status: begun, steps, orders: promotedOrders }));
  const approval = decision.actions.find((action) => action.type === "event" && action.reason === "Approved");
  assert.deepEqual(approval, {
    type: "event",
    reason: "Approved",
    message: "full promotion: no checks and no pauses from here on (security fix)",
    warning: false,
    by: "ann",
  });
});

test("an approval is recorded with its author and reason", () => {
  const step = { ...first, settle: [], pause: { approved: true } };
  const decision = decide(
    input({
      status: begun,
      steps: [step, last],
      observation: { writes: [], settle: [], checks: [] },
      orders: { ...orders, approvals: [{ step: "one", by: "bob", why: "looks good", at: "2026-01-01T00:00:00Z" }] },
    }),
  );
  assert.deepEqual(decision.actions[0], {
    type: "event",
    reason: "Approved",
    message: "one: looks good",
    warning: false,
    step: "one",
    by: "bob",
  });
});

const prepared: Step = { ...plain, id: "setup", title: "setup", setup: true };
const watching: RolloutStatus = {
  ...initialStatus,
  phase: "Watching",
  candidate: "v1",
  completedSteps: [{ id: "setup", title: "", startedAt: "", endedAt: "", evidence: [] }],
};

test("a watched target waits for a change, rolls it out, and rolls it back before it begins an early next change", () => {
  const watched = { steps: [prepared, first], change: { candidate: "v1", watched: true } };
  assert.equal(decide(input({ ...watched, status: watching })).status.phase, "Watching");
  const changed = { ...watched, change: { candidate: "v2", watched: true } };
  const fresh = decide(input({ ...changed, status: watching })).status;
  assert.deepEqual([fresh.phase, fresh.run, fresh.candidate, fresh.completedSteps.length], ["Planned", 1, "v2", 1]);
  const started = decide(input({ ...changed, status: fresh })).status;
  const early = decide(
    input({
      ...changed,
      status: started,
      change: { candidate: "v3", watched: true },
      journal: { run: 1, setup: 1, completed: false },
    }),
  ).status;
  assert.deepEqual([early.phase, early.undo?.next], ["RollingBack", "NewRun"]);
  const back = decide(
    input({
      ...changed,
      status: early,
      change: { candidate: "v2", watched: true },
      journal: { run: 0, setup: 1, completed: false },
    }),
  ).status;
  const next = decide(input({ ...changed, status: back, change: { candidate: "v3", watched: true } })).status;
  assert.deepEqual([back.phase, next.run, next.candidate], ["RolledBack", 2, "v3"]);
});

test("a rolled back pod template that is in its Deployment again begins a run only if a person had ended the last one, and else says that it waits", () => {
  const setup = { run: 0, setup: 1, completed: false };
  const againAfter = (because: UndoCause, given: Partial<DecideInput> = {}): RolloutStatus => {
    const undo = { startedAt: "", elapsedMs: 1, waitedMs: 0, waitingFor: [], next: "RolledBack", because } as const;
    const status: RolloutStatus = { ...watching, phase: "RolledBack", run: 1, candidate: "v2", cause: "bad", undo };
    const change = { candidate: "v2", watched: true };
    return decide(input({ steps: [prepared, first], status, change, journal: setup, ...given })).status;
  };
  for (const because of ["reverted", "order"] as const)
    assert.deepEqual([againAfter(because).phase, againAfter(because).run], ["Planned", 2], because);
  const failed = againAfter("check");
  assert.deepEqual(
    [failed.phase, failed.run, failed.message],
    [
      "RolledBack",
      1,
      "bad; its Deployment has this pod template again, which waits because it was rolled back: change it, and a run begins",
    ],
  );
  const aborted = againAfter("order", { orders: { ...orders, abort: true } });
  assert.equal(
    aborted.message,
    "a change of the Deployment waits, because spec.abort is still set; let it begin: serin canary resume c -n n",
  );
  const edited = againAfter("order", {
    change: { candidate: "v3", watched: false },
    orders: { ...orders, abort: true },
  });
  assert.equal(
    edited.message,
    "a change of the spec waits, because spec.abort is still set; let it begin: serin canary retry c -n n",
  );
  const idle = { candidate: "v1", watched: true, idle: true };
  assert.equal(againAfter("check", { change: idle }).message, "bad", "the Deployment has its former template");
  const route = { candidate: "v2", watched: false };
  assert.equal(againAfter("order", { change: route }).phase, "RolledBack", "a route has no template to write again");
});

test("deleting a running object rolls it back first; with Leave, or after completion, the run's changes stay", () => {
  const journal = { run: 2, setup: 1, completed: false };
  const back = decide(input({ status: begun, journal, orders: { ...orders, deletion: "Rollback" } }));
  assert.deepEqual(
    [back.status.phase, back.status.undo?.next, reasons(back)],
    ["RollingBack", "Deleted", ["RollingBack", "undo"]],
  );
  const unprepared = { ...journal, setup: 0 };
  const left = decide(input({ status: begun, journal: unprepared, orders: { ...orders, deletion: "Leave" } }));
  assert.deepEqual(reasons(left), ["Deleted", "forget"]);
  const completed = decide(
    input({ status: { ...begun, phase: "Completed" }, journal, orders: { ...orders, deletion: "Rollback" } }),
  );
  assert.deepEqual(reasons(completed), ["Deleted", "forget"]);
  const setup = decide(
    input({ status: begun, journal: { run: 0, setup: 1, completed: false }, orders: { ...orders, deletion: "Leave" } }),
  );
  assert.deepEqual(setup.actions.at(-1), { type: "undo", scope: "all", passOver: false });
  assert.deepEqual(reasons(decide(input({ status: begun, orders: { ...orders, deletion: "Leave" } }))), [
    "Deleted",
    "release",
  ]);
});

test("with Leave, a run that builds on the preparation of its target is undone with it", () => {
  const leaves = { ...orders, deletion: "Leave" as const };
  const journal = { run: 2, setup: 1, completed: false };
  const back = decide(input({ status: begun, journal, orders: leaves }));
  assert.deepEqual(
    [back.status.undo?.next, reasons(back), back.actions.at(-1)],
    ["Deleted", ["RollingBack", "undo"], { type: "undo", scope: "all", passOver: false }],
  );
  const leftover = decide(input({ status: begun, journal: { ...journal, isLeftover: true }, orders: leaves }));
  assert.deepEqual(reasons(leftover), ["RollingBack", "undo"]);
});

test("an unfinished predecessor of the same name is undone first, and a completed one's changes stay", () => {
  assert.equal(decide(input({ journal: { run: 1, setup: 0, completed: false } })).status.undo?.next, "NewRun");
  assert.deepEqual(reasons(decide(input({ journal: { run: 1, setup: 0, completed: true } }))), ["forget"]);
});

test("an abort of a run that has not begun leaves the changes of the run before, which the journal still has", () => {
  const again = { ...initialStatus, run: 2, candidate: "v1" };
  const aborted = { ...orders, abort: true };
  const journal = { run: 3, setup: 1, completed: true };
  assert.deepEqual(reasons(decide(input({ status: again, orders: aborted, journal }))), ["forget"]);
  const forgotten = { run: 0, setup: 1, completed: false };
  const back = decide(input({ status: again, orders: aborted, journal: forgotten }));
  assert.deepEqual(reasons(back), ["RollingBack", "undo"]);
});

test("undo reports a dead dependency after a while and continues without it, and a conflict stops it until resolved", () => {
  const back = decide(
    input({ status: begun, journal: { run: 2, setup: 0, completed: false }, orders: { ...orders, abort: true } }),
  ).status;
  const journal = { run: 2, setup: 0, completed: false };
  const undo = { undone: 0, waitingFor: ["Deployment istio-system/istiod-old: 0 of 1 ready"] };
  const held = decide(input({ status: back, journal, undo, elapsedMs: 61_000 }));
  assert.deepEqual(held.actions.at(-1), { type: "undo", scope: "run", passOver: true });
  assert.deepEqual([held.status.undo?.waitingFor, reasons(held)[0]], [undo.waitingFor, "Waiting"]);
  const stuck = decide(
    input({ status: back, journal, undo: { undone: 0, waitingFor: [], conflict: "changed by kubectl" } }),
  );
  assert.deepEqual([stuck.status.phase, stuck.status.message], ["Stuck", "changed by kubectl"]);
  assert.equal(
    decide(input({ status: stuck.status, journal, undo: { undone: 1, waitingFor: [] } })).status.phase,
    "RollingBack",
  );
});

test("undo is Stuck after two minutes in which nothing could be undone, unless only ending pods hold it up", () => {
  const journal = { run: 1, setup: 0, completed: false };
  const abort = { ...orders, abort: true };
  const back = decide(input({ status: begun, journal, orders: abort })).status;
  const waits = {
    undone: 0,
    waitingFor: ["Deployment istio-system/istiod-new: front-1.shop serves its last connections"],
  };
  const after = (undo: UndoReport | undefined, status: RolloutStatus, elapsedMs = 121_000) =>
    decide(input({ status, journal, ...(undo === undefined ? {} : { undo }), elapsedMs })).status;
  assert.equal(after(waits, back).phase, "Stuck");
  const ending = after({ ...waits, isEnding: true }, back);
  assert.deepEqual([ending.phase, ending.undo?.waitingFor], ["RollingBack", waits.waitingFor]);
  assert.match(ending.message, /still to undo: Deployment istio-system\/istiod-new: front-1.shop serves its last/);
  assert.equal(after(undefined, ending, 0).phase, "RollingBack", "a restarted engine has not looked yet");
  assert.equal(after(waits, ending, 0).phase, "Stuck", "they should have ended");
});

test("a failed check under manual rollback waits for a person, and a newer approval continues", () => {
  const failed = { type: "request-success-rate", verdict: "fail", evidence: "5 of 100" } as const;
  const check = { spec: { ...checkDefaults, type: "request-success-rate" }, subject: { type: "mesh" } } as const;
  const steps = [{ ...first, settle: [], checks: [check] }, last];
  const since = {
    type: "Stuck",
    status: "True",
    lastTransitionTime: "2026-01-01T00:00:00Z",
    reason: "",
    message: "",
  } as const;
  const status: RolloutStatus = {
    ...begun,
    phase: "Stuck",
    message: "5 of 100",
    conditions: [since],
    step: { id: "one", title: "one", startedAt: "", settledAt: "2026-01-01T00:00:00Z", checks: [failed] },
  };
  const observation: Observation = {
    writes: [],
    settle: [],
    checks: [{ type: "verdict", verdict: "pass", evidence: "fine now" }],
  };
  const manual = { ...orders, automaticRollback: false };
  assert.equal(decide(input({ status, steps, observation, orders: manual })).status.phase, "Stuck");
  const approvals = [{ step: "one", by: "cy", why: "known", at: "2026-01-01T00:00:01Z" }];
  const passed = decide(input({ status, steps, observation, orders: { ...manual, approvals } })).status;
  assert.deepEqual(passed.completedSteps[0]?.evidence, [
    "request-success-rate: 5 of 100",
    "approved by cy despite this: known",
  ]);
});

test("a new run remembers the orders that came before it", () => {
  const approval = { step: "one", by: "bo", why: "", at: "2026-01-02T00:00:00Z" };
  const fullPromotion = { by: "bo", why: "" };
  const ended: RolloutStatus = { ...begun, phase: "Completed", candidate: "v0" };
  const { status } = decide(input({ status: ended, orders: { ...orders, last: { approval, fullPromotion } } }));
  assert.deepEqual([status.run, status.ordersBefore], [2, { approval, fullPromotion }]);
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
