// The real `decide` against a model of a cluster, on a seeded clock: crashes between any two actions, stale and repeated
// rounds, writers that interfere, releases that fail. Run more seeds with SEEDS=10000.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, type Random } from "../../base/index.ts";
import { checkDefaults, type JournalEntry, type ObjectReference, type RolloutStatus } from "../../api/serin/index.ts";
import { currentStep, decide, initialStatus } from "./decide.ts";
import type { Action, Observation, WriteState } from "./observation.ts";
import type { Step, Write } from "./step.ts";

const seeds = Number(process.env["SEEDS"] ?? 300);
const maxRounds = 600;
const roundMs = 200;
const requestsPerRound = 40;

const route: ObjectReference = { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", plural: "httproutes", name: "r", namespace: "n" };
const deployment: ObjectReference = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "d", namespace: "n" };

function plan(): Step[] {
  const weights = [10, 50, 100];
  const weight = (value: number): Step => ({
    id: `weight-${value}`,
    title: `weight ${value}`,
    writes: [{ type: "field", object: route, pointer: "/weight", value }],
    settle: [{ type: "acknowledged", object: route }],
    checks: [
      {
        spec: { ...checkDefaults, type: "request-success-rate" },
        subject: { type: "backends", canary: { service: "b", namespace: "n" }, stable: { service: "a", namespace: "n" }, expectedShare: value, atLeast: false },
      },
    ],
  });
  const create: Write = { type: "create", object: deployment, body: { metadata: { name: "d" } } };
  return [{ id: "install", title: "install", writes: [create], settle: [], checks: [] }, ...weights.map(weight), { id: "end", title: "end", writes: [{ type: "field", object: route, pointer: "/old" }], settle: [], checks: [] }];
}

/** The cluster: fields of the route, whether the deployment is there, what the proxies have acknowledged, and counters. */
class Model {
  readonly fields = new Map<string, unknown>([["/old", "kept"]]);
  deployed = false;
  acknowledgedWeight: unknown;
  served = 0;
  readonly counters = { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 };
  status: RolloutStatus = initialStatus;
  journal: JournalEntry[] = [];
  nowMs = 1_000_000;
  aborted = false;
  readonly random: Random;
  readonly errorRate: number;

  constructor(random: Random, errorRate: number) {
    this.random = random;
    this.errorRate = errorRate;
  }

  tick(): void {
    this.nowMs += roundMs;
    if (this.random() < 0.5) this.acknowledgedWeight = this.fields.get("/weight");
    const share = typeof this.acknowledgedWeight === "number" ? this.acknowledgedWeight / 100 : 0;
    for (let request = 0; request < requestsPerRound; request += 1) {
      if (this.random() < share) {
        // No request is routed to what is not deployed.
        assert.ok(this.deployed, "a request went to a version that is not there");
        this.counters.canaryTotal += 1;
        if (this.random() < this.errorRate) this.counters.canaryErrors += 1;
      } else this.counters.stableTotal += 1;
    }
  }

  observe(step: Step): Observation {
    const writes = step.writes.map((write) => this.writeState(write, step.id));
    const settled = this.acknowledgedWeight === this.fields.get("/weight");
    return {
      writes,
      settle: step.settle.map(() => (settled ? { state: "met" } : { state: "waiting", detail: "not acknowledged" })),
      checks: step.checks.map(() => (this.random() < 0.05 ? { type: "unavailable", detail: "scrape failed" } : { type: "counters", sources: { gateway: { ...this.counters } } })),
    };
  }

  writeState(write: Write, step: string): WriteState {
    if (write.type === "create") return this.deployed ? { state: "done" } : { state: "pending" };
    if (write.type === "delete") return { state: "done" };
    const found = this.fields.get(write.pointer);
    if (found === write.value) return { state: "done" };
    const entry = this.journal.find((candidate) => candidate.type === "field" && candidate.step === step && candidate.pointer === write.pointer);
    if (entry?.type === "field" && found !== entry.prior) return { state: "conflict", detail: "changed by somebody else" };
    return found === undefined ? { state: "pending" } : { state: "pending", prior: found };
  }

  perform(action: Action): void {
    if (action.type === "journal") {
      for (const entry of action.entries) {
        const known = this.journal.some((old) => old.step === entry.step && old.type === entry.type && pointerOf(old) === pointerOf(entry));
        if (!known) this.journal.push(entry);
      }
    } else if (action.type === "write") this.write(action.write);
    else if (action.type === "undo") this.undo();
  }

  write(write: Write): void {
    const journaled = this.journal.some((entry) => pointerOf(entry) === (write.type === "field" ? write.pointer : ""));
    assert.ok(journaled, "a write came before its journal entry");
    if (write.type === "create") this.deployed = true;
    else if (write.type === "field") this.set(write.pointer, write.value);
  }

  undo(): void {
    // A crash may cut an undo short anywhere.
    while (this.journal.length > 0 && this.random() > 0.1) {
      const entry = this.journal.pop();
      if (entry?.type === "field") this.set(entry.pointer, entry.prior);
      else if (entry?.type === "created") {
        this.acknowledgedWeight = this.fields.get("/weight");
        this.deployed = false;
      }
    }
  }

  set(pointer: string, value: unknown): void {
    if (value === undefined) this.fields.delete(pointer);
    else this.fields.set(pointer, value);
  }
}

function pointerOf(entry: JournalEntry): string {
  return entry.type === "field" ? entry.pointer : "";
}

/** One run to its end; the engine may be killed between any two of its actions, and rounds may see a stale status. */
function simulate(seed: number, errorRate: number, abortAt: number): Model {
  const random = seededRandom(seed);
  const model = new Model(random, errorRate);
  const steps = plan();
  for (let round = 0; round < maxRounds; round += 1) {
    model.tick();
    if (round === abortAt) model.aborted = true;
    const planned = model.status.phase === "RollingBack" ? [] : steps;
    const step = currentStep(planned, model.status);
    const observing = step !== undefined && model.status.step?.id === step.id && !model.aborted;
    const decision = decide({
      orders: { generation: 1, paused: random() < 0.02, abort: model.aborted, automaticRollback: true },
      status: model.status,
      steps: planned,
      observation: observing ? model.observe(step) : undefined,
      journalEntries: model.journal.length,
      nowMs: model.nowMs,
    });
    if (random() < 0.05) continue;
    model.status = decision.status;
    for (const action of decision.actions) {
      if (random() < 0.1) break;
      model.perform(action);
    }
    const ended = ["Completed", "RolledBack", "Stuck"].includes(model.status.phase);
    if (ended && round >= abortAt && !(model.aborted && model.status.phase === "Completed")) break;
  }
  return model;
}

function assertPutBack(model: Model, seed: number): void {
  assert.equal(model.status.phase, "RolledBack", `seed ${seed}: ${model.status.message}`);
  assert.deepEqual(Object.fromEntries(model.fields), { "/old": "kept" }, `seed ${seed}`);
  assert.equal(model.deployed, false, `seed ${seed}`);
  assert.equal(model.journal.length, 0, `seed ${seed}`);
}

test("a good release completes whatever the engine survives, and never passes without its samples", () => {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const model = simulate(seed, 0, -1);
    assert.equal(model.status.phase, "Completed", `seed ${seed}: ${model.status.phase} ${model.status.message}`);
    assert.equal(model.fields.get("/weight"), 100);
    assert.equal(model.fields.has("/old"), false);
    for (const done of model.status.completedSteps.filter(({ id }) => id.startsWith("weight"))) {
      const [, canaryTotal = "0"] = /of (\d+) failed/.exec(done.evidence[0] ?? "") ?? [];
      assert.ok(Number(canaryTotal) >= checkDefaults.minSamples, `seed ${seed}: ${done.id} passed on ${canaryTotal} samples`);
    }
  }
});

test("a release that answers one request of five with an error is put back entirely, and the cause names the check", () => {
  for (let seed = 1; seed <= seeds; seed += 1) {
    const model = simulate(seed, 0.2, -1);
    assertPutBack(model, seed);
    assert.match(model.status.cause ?? "", /request-success-rate: canary \d+ of \d+ failed/);
  }
});

test("an abort in any round puts everything back, also after the end", () => {
  for (let seed = 1; seed <= seeds; seed += 1) assertPutBack(simulate(seed, 0, 1 + (seed % 80)), seed);
});
