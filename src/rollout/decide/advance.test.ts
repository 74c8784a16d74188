import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults } from "../../api/serin/index.ts";
import { decide } from "./decide.ts";
import type { DecideInput } from "./input.ts";
import type { Observation, SettleState } from "./observation.ts";
import type { Step } from "./step.ts";
import { begun, first, input, last, met, object, waiting } from "./testing/two-steps.ts";

test("requests that come while somebody has changed a step's route do not count, and the step settles again", () => {
  const write = { type: "field", object, pointer: "/spec/rules", value: 1 } as const;
  const [canary, stable] = [
    { service: "next", namespace: "n" },
    { service: "shop", namespace: "n" },
  ];
  const subject = { type: "backends", canary, stable, expectedShare: 50, atLeast: false } as const;
  const check = { spec: { ...checkDefaults, type: "request-share" }, subject } as const;
  const steps: Step[] = [{ ...first, writes: [write], checks: [check] }, last];
  const done: Observation = { writes: [{ state: "done" }], settle: [{ state: "met" }], checks: [] };
  const seen = (canaryTotal: number, stableTotal: number): Observation => ({
    ...done,
    checks: [{ type: "counters", sources: { g: { canaryTotal, canaryErrors: 0, stableTotal, stableErrors: 0 } } }],
  });
  const changes: Readonly<Record<string, Observation>> = {
    "by another value": { ...done, writes: [{ state: "conflict", detail: "bob changed it" }] },
    "of a finished step": { ...done, lost: "bob changed it" },
    "to the value from before": { ...done, writes: [{ state: "pending", prior: 0, by: "bob" }] },
  };
  for (const [name, changed] of Object.entries(changes)) {
    let { status } = decide(input({ steps }));
    const look = (observation: Observation): string => {
      ({ status } = decide(input({ status, steps, observation })));
      return status.phase;
    };
    assert.deepEqual([look(seen(0, 1000)), look(seen(50, 1050))], ["Judging", "Judging"]);
    look(changed);
    assert.equal(look({ ...waiting, writes: done.writes }), "Settling", name);
    assert.equal(look(seen(50, 2050)), "Judging", name);
    assert.match(status.message, /measured share 50\.0 % of 100 responses/, name);
    assert.equal(look(seen(150, 2150)), "Progressing", name);
    assert.deepEqual([status.completedSteps.length, status.step], [1, undefined], name);
  }
});

test("a step whose route somebody has changed and restored has the whole limit to settle again, but a fight has an end", () => {
  const write = { type: "field", object, pointer: "/spec/rules", value: 1 } as const;
  const check = {
    spec: { ...checkDefaults, type: "webhook", timeoutSeconds: 100_000 },
    subject: { type: "mesh" },
  } as const;
  const steps: Step[] = [{ ...first, writes: [write], checks: [check] }, last];
  const settled: Observation = {
    writes: [{ state: "done" }],
    settle: [{ state: "met" }],
    checks: [{ type: "pending", detail: "" }],
  };
  const unsettled: Observation = { ...waiting, writes: settled.writes };
  let { status } = decide(input({ steps }));
  const look = (observation: Observation, elapsedMs = 10_000): string => {
    ({ status } = decide(input({ status, steps, observation, elapsedMs })));
    return status.phase;
  };
  /** The seconds until the step fails. At most the limit. */
  const waits = (limit: number): number => {
    let seconds = 0;
    while (seconds < limit && look(unsettled) === "Settling") seconds += 10;
    return seconds;
  };
  assert.equal(waits(290), 290);
  assert.equal(look(settled), "Judging");
  assert.equal(look({ ...settled, writes: [{ state: "conflict", detail: "bob changed it" }] }), "Stuck");
  assert.equal(waits(300), 300, "its first wait does not count");
  let rounds = 0;
  for (; look(settled) === "Judging" && rounds < 100; rounds += 1) {
    look({ ...settled, writes: [{ state: "conflict", detail: "bob changed it" }] });
    if (waits(200) < 200) break;
  }
  assert.equal(rounds, 12, "of 200 s, besides the 590 s before, are ten limits");
});

test("a step that must write again after it had settled has the whole limit for that, unless somebody keeps restoring the field", () => {
  const write = { type: "field", object, pointer: "/spec/rules", value: 1 } as const;
  const steps: Step[] = [{ ...first, writes: [write], pause: { approved: false } }, last];
  const settled: Observation = { writes: [{ state: "done" }], settle: [{ state: "met" }], checks: [] };
  const unsettled: Observation = { ...waiting, writes: settled.writes };
  const changes = {
    "somebody restores the value from before": { state: "pending", prior: 0, by: "bob" },
    "a plan with the same title has another value": { state: "pending", prior: 1, isReplanned: true },
  } as const;
  for (const [name, changed] of Object.entries(changes)) {
    let { status } = decide(input({ steps }));
    const look = (observation: Observation, more: Partial<DecideInput> = {}): string => {
      ({ status } = decide(input({ status, steps, observation, elapsedMs: 10_000, ...more })));
      return status.phase;
    };
    const lasts = (observation: Observation, more?: Partial<DecideInput>): number => {
      let seconds = 0;
      while (seconds < 1000 && look(observation, more) !== "RollingBack") seconds += 10;
      return seconds;
    };
    for (let seconds = 0; seconds < 290; seconds += 10) assert.equal(look(unsettled), "Settling");
    assert.equal(look(settled), "Paused");
    const before = status;
    const unwritten: Observation = { writes: [changed], settle: [], checks: [] };
    assert.equal(look(unwritten), "Progressing", name);
    assert.equal(lasts(unwritten, { failedWrite: { detail: "the server refuses it", waits: true } }), 290, name);
    status = before;
    look(unwritten);
    assert.ok(lasts(unsettled) >= 290, name);
    status = before;
    assert.equal(lasts(unwritten, { failedWrite: { detail: "bob restores it", waits: false } }), 10, name);
  }
});

test("pods for which a workload's readiness waits are named once, and again when the workload is ready without them", () => {
  const of = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "edge", namespace: "shop" };
  const step: Step = {
    ...first,
    settle: [
      { type: "ready", object: of },
      { type: "readyPods", of, namespace: "shop", labels: { app: "edge" }, atLeast: 1 },
      { type: "readyPods", of: { ...of, name: "door" }, namespace: "shop", labels: { app: "door" }, atLeast: 1 },
    ],
  };
  const pods = (name: string): SettleState => ({ state: "waiting", detail: `0 of 1 pods with ${name} are ready` });
  const waitingFor = (ready: SettleState): unknown => {
    const observation = { ...met, settle: [ready, pods("edge"), pods("door")] };
    return decide(input({ status: begun, steps: [step, last], observation })).status.step?.waitingFor;
  };
  const detail = "Deployment edge: 0 of 1 ready";
  const [edge, door] = ["0 of 1 pods with edge are ready", "0 of 1 pods with door are ready"];
  assert.deepEqual(waitingFor({ state: "waiting", detail }), [detail, door]);
  assert.deepEqual(waitingFor({ state: "met" }), [edge, door]);
});
