import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, transientError } from "../../base/index.ts";
import { canaryKind, type Canary, type JournalEntry, type RolloutStatus } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { StoredJournal } from "../act/journal-store.ts";
import type { LostMove } from "../observe/lost-journal/lost-values.ts";
import { initialStatus, type Contender, type Decision, type Step } from "../decide/index.ts";
import { routeFrom } from "../observe/canary-world/route-in-world.ts";
import { meantIdentity, meantRule, movedRoutes } from "../plan/index.ts";
import { unplannedChange, type Plan } from "./planner.ts";
import type { Rollout } from "./rollout-object.ts";
import { RolloutRounds } from "./rollout-rounds.ts";
import { RoundBoard } from "./round-board.ts";
import type { RoundServices } from "./round.ts";

const underWay: RolloutStatus = {
  ...initialStatus,
  phase: "Progressing",
  message: "weight 10",
  startedAt: "2026-01-01T00:00:00Z",
  run: 1,
};

/** A member of the same group that was rolled back. */
const putBack: Contender = {
  key: "",
  kind: "Canary",
  namespace: "shop",
  name: "cart",
  createdAtMs: 0,
  phase: "RolledBack",
  underWay: false,
  wantsToBegin: false,
  holds: [],
  wants: [],
  target: "HTTPRoute shop/cart",
  group: "g",
  groupRun: "r",
  lingers: false,
  done: false,
};

interface Options {
  readonly busyMs?: () => number;
  readonly confirmsLead?: () => Promise<boolean>;
  readonly mayCreate?: () => Promise<boolean>;
  readonly spec?: object;
  readonly status?: RolloutStatus;
  readonly unread?: "journal" | "target";
  /** The name of the unreadable object. */
  readonly named?: () => string;
  readonly journal?: StoredJournal;
  /** Plans as the real planner does, from the journal. */
  readonly plan?: (rollout: Rollout, entries: readonly JournalEntry[]) => Plan;
  /** Gets what the planner reads of other rollouts. */
  readonly learn?: (others: readonly (readonly JournalEntry[])[]) => void;
  /** What the plan of a Canary of a Deployment shows without a journal. */
  readonly lostRun?: LostMove;
}

const unanswered = async (): Promise<boolean> => {
  throw transientError("review-failed", "the API server answered 500 to a SubjectAccessReview");
};

const lostEntry: JournalEntry = {
  type: "field",
  step: "derived",
  object: { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", plural: "httproutes", name: "web" },
  pointer: "/spec/rules",
};

/** Rounds of one Canary. The API server writes its status, but cannot read its journal or its target. */
function roundsOf({
  spec,
  status = underWay,
  unread = "target",
  named = () => "web",
  mayCreate = unanswered,
  busyMs,
  confirmsLead = async () => true,
  journal = { entries: [], decisions: [] },
  plan = () => ({ steps: [], change: { candidate: "v1", watched: false } }),
  learn,
  lostRun,
}: Options) {
  let [steadyMs, version] = [0, 1];
  let faulty = true;
  let lostReads = 0;
  let rightsAsked = 0;
  let object = {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name: "web", namespace: "shop", uid: "u", generation: 2, resourceVersion: "1" },
    spec: {
      target: { httpRoute: { name: "web", stable: { name: "a", port: 80 }, canary: { name: "b", port: 80 } } },
      steps: [{ weight: 10 }],
      ...spec,
    },
    status,
  } as unknown as Rollout;
  const decisions: Decision[] = [];
  const appended: JournalEntry[] = [];
  const board = new RoundBoard(1);
  const fail = (): never => {
    throw transientError("api-server", `get of HTTPRoute shop/${named()}: conversion webhook failed`);
  };
  const services = {
    client: {
      get: async () => {
        lostReads -= 1;
        if (lostReads >= 0) throw transientError("api-server", "get of Canary shop/web: connect ETIMEDOUT");
        return structuredClone(object);
      },
      patchMerge: async () => object,
      update: async (_kind: unknown, body: Rollout) => {
        version += 1;
        object = { ...body, metadata: { ...body.metadata, resourceVersion: String(version) } };
        return object;
      },
    } as unknown as KubeClient,
    clock: { steadyMs: () => steadyMs, nowMs: () => steadyMs },
    log: silentLogger,
    journals: {
      read: async () => (faulty && unread === "journal" ? fail() : journal),
      writeAgain: async () => undefined,
      append: async (_name: string, entries: readonly JournalEntry[]) => void appended.push(...entries),
    },
    lostValues: async () => ({ entries: [lostEntry], back: ["HTTPRoute shop/web /spec/rules"], left: [] }),
    observer: {},
    planner: {
      plan: async (
        rollout: Rollout,
        entries: readonly JournalEntry[],
        others: () => Promise<readonly (readonly JournalEntry[])[]>,
      ) => {
        learn?.(await others());
        return faulty ? fail() : plan(rollout, entries);
      },
      lostRun: async () => lostRun,
    },
    actions: {
      fence: () => undefined,
      storeDecisions: async () => undefined,
      recordCompletion: async () => undefined,
      perform: async (_rollout: Rollout, decision: Decision) => void decisions.push(decision),
    },
    metrics: { phase: () => undefined, verdicts: () => undefined, gone: () => undefined },
    confirmsLead,
    board,
    orphans: {},
    rights: {
      refusal: async () => {
        rightsAsked += 1;
        return undefined;
      },
      mayCreate,
    },
    freezes: () => [],
    watched: () => object,
    ...(busyMs === undefined ? {} : { busyMs }),
    wake: () => undefined,
  } as unknown as RoundServices;
  const rounds = new RolloutRounds(services);
  return {
    status: () => object.status ?? initialStatus,
    decisions,
    appended,
    board,
    rightsAsked: () => rightsAsked,
    version: () => version,
    recover: () => (faulty = false),
    /** Somebody deletes the Canary and makes it again before the engine looks. */
    remake: () => (object = { ...object, metadata: { ...object.metadata, uid: "second" } }),
    /** Lets the server leave the next reads of the Canary unanswered. */
    loseReads: (count: number) => (lostReads = count),
    events: () =>
      decisions.flatMap(({ actions }) => actions.flatMap((action) => (action.type === "event" ? [action.reason] : []))),
    /** Runs rounds for this many seconds, one each second. */
    run: async (seconds: number) => {
      for (let second = 0; second < seconds; second += 1) {
        steadyMs += 1000;
        await rounds.run(canaryKind, "Canary shop/web", "shop/web").catch(() => undefined);
      }
    },
  };
}

test("a rollout whose rounds all fail for a minute is Stuck, says why and what helps, and goes on by itself", async () => {
  for (const unread of ["journal", "target"] as const) {
    const canary = roundsOf({ unread });
    await canary.run(55);
    assert.deepEqual([canary.status().phase, canary.version()], ["Progressing", 1], unread);
    await canary.run(60);
    const { phase, pauseReason, message, observedGeneration } = canary.status();
    assert.deepEqual([phase, pauseReason, observedGeneration], ["Stuck", "error", 2], unread);
    assert.match(
      message,
      /conversion webhook failed; correct what it names, .* undo it: serin canary abort web -n shop$/,
    );
    assert.equal(canary.version(), 2, "it says the same only once");
    assert.deepEqual(canary.events(), ["Stuck"]);
    canary.recover();
    await canary.run(1);
    assert.equal(canary.status().phase, "Completed", unread);
  }
});

test("a rollout at rest keeps its phase while its rounds fail, and a paused one says that it is paused", async () => {
  const rolledBack = roundsOf({
    spec: { group: "g" },
    status: { ...underWay, phase: "RolledBack", cause: "a fault", message: "a fault" },
  });
  await rolledBack.run(70);
  const watching = roundsOf({ status: { ...initialStatus, phase: "Watching", message: "waits for a change" } });
  await watching.run(70);
  for (const [canary, phase] of [
    [rolledBack, "RolledBack"],
    [watching, "Watching"],
  ] as const) {
    assert.equal(canary.status().phase, phase);
    assert.match(
      canary.status().message,
      /cannot go on, .*; correct what it names, and the rollout continues by itself$/,
    );
    assert.deepEqual(canary.events(), []);
  }
  const paused = roundsOf({
    spec: { paused: true },
    status: { ...underWay, phase: "Paused", pauseReason: "order", message: "paused by me" },
  });
  await paused.run(70);
  assert.equal(paused.status().message, "paused by me");
});

test("a rollout that waits for a person keeps the cause and the command while its rounds fail", async () => {
  const cause = "weight 10: success-rate: 80 %";
  const message = `${cause}; approve it: serin canary promote web -n shop`;
  const stuck = roundsOf({ status: { ...underWay, phase: "Stuck", pauseReason: "check", cause, message } });
  await stuck.run(200);
  const { pauseReason, cause: kept, message: told } = stuck.status();
  assert.deepEqual([pauseReason, kept], ["check", cause]);
  assert.equal(
    told,
    `${message}; the engine cannot go on, and tries again: get of HTTPRoute shop/web: conversion webhook failed; correct what it names`,
  );
  assert.deepEqual(stuck.events(), []);
});

test("rounds that fail for one object and then for another are told once, and written once a minute", async () => {
  let reads = 0;
  const canary = roundsOf({ named: () => `route-${Math.floor((reads += 1) / 7) % 2}` });
  await canary.run(600);
  assert.deepEqual(canary.events(), ["Stuck"]);
  assert.ok(canary.version() <= 11, `${canary.version() - 1} writes in ten minutes`);
});

test("a server that does not answer with the rollout leaves its status alone", async () => {
  const canary = roundsOf({});
  canary.loseReads(70);
  await canary.run(71);
  assert.deepEqual([canary.status().phase, canary.version()], ["Progressing", 1]);
});

test("an order to undo is followed although the target cannot be read, because an undo needs no plan", async () => {
  const canary = roundsOf({ spec: { abort: true } });
  await canary.run(1);
  assert.equal(canary.status().phase, "RollingBack");
});

test("what the rounds of a deleted rollout have shown does not count for another one that gets its name", async () => {
  const canary = roundsOf({});
  await canary.run(50);
  canary.remake();
  await canary.run(50);
  assert.deepEqual([canary.status().phase, canary.version()], ["Progressing", 1]);
  await canary.run(20);
  assert.equal(canary.status().phase, "Stuck");
});

test("a member that must follow its group's undo does not go on if that undo ends within the round", async () => {
  for (const isReadable of [false, true]) {
    const { board, ...canary } = roundsOf({ spec: { group: "g" }, status: { ...underWay, groupRun: "r" } });
    if (isReadable) canary.recover();
    const other = "Canary shop/cart";
    let looks = 0;
    const groupOf = board.groupOf.bind(board);
    // The other member is deleted between the two looks at the group.
    board.groupOf = (seen) => {
      looks += 1;
      if (looks < 2) board.table.set({ ...putBack, key: other });
      else board.table.delete(other);
      return groupOf(seen);
    };
    await canary.run(1);
    assert.deepEqual([looks, canary.rightsAsked()], [2, 0]);
    assert.deepEqual([canary.status().phase, canary.version()], ["Progressing", 1]);
  }
});

test("a round works out its group once before it decides", async () => {
  const { board, ...canary } = roundsOf({ spec: { group: "g" }, status: { ...underWay, groupRun: "r" } });
  canary.recover();
  let looks = 0;
  const groupOf = board.groupOf.bind(board);
  board.groupOf = (seen) => {
    looks += 1;
    return groupOf(seen);
  };
  await canary.run(1);
  assert.equal(looks, 1);
});

const stranger: Contender = { ...putBack, key: "Canary attacker/x", namespace: "attacker", name: "x" };

test("a plan gets the journals of the rollouts that move the list in which its target names a position", async () => {
  const learned: (readonly (readonly JournalEntry[])[])[] = [];
  const { board, ...canary } = roundsOf({
    journal: { entries: [lostEntry], decisions: [] },
    learn: (others) => void learned.push(others),
  });
  const list = "gateway.networking.k8s.io/HTTPRoute/shop/web /spec/rules";
  const { group: _group, groupRun: _groupRun, ...other } = { ...putBack, key: "Canary shop/cart" };
  board.table.set(other);
  await canary.run(1);
  board.table.set({ ...other, underWay: true, phase: "Settling", routes: [{ list, rule: "cart", addsRules: true }] });
  await canary.run(1);
  assert.deepEqual(learned, [[], [[lostEntry]]]);
});

test("a rollout that others name as a member of their group is not undone when those are rolled back", async () => {
  for (const isCompanion of [false, true]) {
    const { board, ...canary } = roundsOf({
      spec: { group: "g" },
      status: { ...underWay, groupRun: "r" },
      mayCreate: async () => await Promise.resolve(isCompanion),
    });
    canary.recover();
    board.table.set(stranger);
    await canary.run(1);
    assert.equal(canary.status().phase, isCompanion ? "RollingBack" : "Completed");
  }
});

test("an order to undo is followed although the API server does not say which members of the group count", async () => {
  for (const abort of [false, true]) {
    const { board, ...canary } = roundsOf({ spec: { group: "g", abort } });
    board.table.set(stranger);
    await canary.run(1);
    assert.equal(canary.status().phase, abort ? "RollingBack" : "Progressing");
  }
});

test("a Canary whose decisions take long is decided about again only when its namespace has used a tenth of the time", async () => {
  const ordered = { ...underWay, phase: "Paused", pauseReason: "order" } as RolloutStatus;
  const decidedIn = async (spec: object): Promise<number> => {
    let busyMs = 0;
    const canary = roundsOf({ spec, status: ordered, busyMs: () => (busyMs += 500) });
    canary.recover();
    await canary.run(60);
    return busyMs / 1_000;
  };
  const decisions = await decidedIn({ paused: true });
  assert.ok(decisions >= 10 && decisions <= 13, `${decisions} decisions of half a second in a minute`);
});

const ruleOf = (path: string, ...weights: readonly number[]) => ({
  matches: [{ path: { type: "PathPrefix", value: path } }],
  backendRefs: ["a", "b"].map((name, index) => ({ name, port: 80, weight: weights[index] ?? 1 })),
});

/** A Canary that has completed its run on the first of two rules. Then somebody has inserted a rule before them. */
async function afterInsertion(target: object) {
  const [moved] = movedRoutes({ metadata: { namespace: "shop" }, spec: { target: targetOf({}) } });
  const { object } = moved ?? assert.fail();
  const [pointer, prior] = ["/spec/rules", [ruleOf("/shop", 1, 0), ruleOf("/cart")]];
  const written = [ruleOf("/shop", 0, 1), ruleOf("/cart")];
  const planOf = (list: readonly object[]) => (rollout: Rollout, entries: readonly JournalEntry[]) => {
    const canary = rollout as Canary;
    const current = { apiVersion: "v1", kind: "HTTPRoute", metadata: { name: "web" }, spec: { rules: list } };
    const routes = movedRoutes(canary).map((route) => routeFrom(route, entries, current));
    const meant = meantRule(canary, { routes });
    return { steps: [], change: { ...unplannedChange(rollout), ...(meant === undefined ? {} : { meantRule: meant }) } };
  };
  const first = roundsOf({ spec: { target: targetOf({}) }, plan: planOf(prior) });
  first.recover();
  await first.run(1);
  const status = first.status();
  assert.deepEqual([status.phase, status.meantRule?.index], ["Completed", 0]);
  const next = roundsOf({
    spec: { target: targetOf(target) },
    status,
    plan: planOf([ruleOf("/added"), ...written]),
    journal: {
      uid: "u",
      entries: [{ type: "field", step: "step-1", object, pointer, prior, written }],
      decisions: [{ at: "", run: 1, decision: "Completed", message: "" }],
    },
  });
  next.recover();
  await next.run(1);
  const { phase, message, meantRule: meant } = next.status();
  return { phase, message, meant, shop: meantIdentity(status.meantRule) };
}

const targetOf = (target: object) =>
  ({
    httpRoute: { name: "web", rule: 0, stable: { name: "a", port: 80 }, canary: { name: "b", port: 80 }, ...target },
  }) as unknown as Canary["spec"]["target"];

test("after a completed run, a position in another target counts in the list as it is now", async () => {
  const { phase, meant, shop } = await afterInsertion({ rule: 1, canary: { name: "c", port: 80 } });
  assert.deepEqual([phase, meant?.index], ["Planned", 1]);
  assert.equal(
    meantIdentity(meant),
    shop,
    "the rule at this position, not the one that was there before the insertion",
  );
  const last = await afterInsertion({ rule: 2, canary: { name: "c", port: 80 } });
  assert.deepEqual([last.phase, last.meant?.index], ["Planned", 2], "the former list had no such rule");
  const refused = await afterInsertion({ canary: { name: "c", port: 80 } });
  assert.equal(refused.phase, "Stuck");
  assert.match(refused.message, /when this Canary had another target: that one is at position 1 now/);
});

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
  assert.match(message, /RolloutJournal canary\.shop\.web: kubectl-replace has put back another state of it, /);
  const own = { entries: [{ ...lostEntry, step: "step-1" }], decisions: [], undoSum: "1 a" };
  const back = roundsOf({ spec: { abort: true }, status: { ...underWay, journaled }, journal: own });
  back.recover();
  await back.run(1);
  assert.deepEqual([back.status().phase, back.status().journaled?.sum], ["RollingBack", "1 a"]);
});

test("a run and a step begin only after the server confirms the lead, and an undo needs no confirmation", async () => {
  const steps = ["step-1", "step-2"].map((id, ordinal): Step => ({
    id,
    ordinal,
    title: id,
    writes: [],
    settle: [],
    checks: [],
  }));
  let leads = false;
  let asked = 0;
  const confirmsLead = async (): Promise<boolean> => {
    asked += 1;
    return await Promise.resolve(leads);
  };
  const plan = (): Plan => ({ steps, change: { candidate: "v1", watched: false } });
  const canary = roundsOf({ status: initialStatus, plan, confirmsLead });
  canary.recover();
  await canary.run(2);
  assert.deepEqual([canary.version(), canary.decisions, asked], [1, [], 2], "nothing is written");
  leads = true;
  await canary.run(1);
  assert.equal(canary.status().step?.id, "step-1");

  leads = false;
  const undone = roundsOf({ spec: { abort: true }, plan, confirmsLead });
  undone.recover();
  asked = 0;
  await undone.run(1);
  assert.deepEqual([undone.status().phase, asked], ["RollingBack", 0]);
});
