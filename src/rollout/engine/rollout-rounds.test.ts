import assert from "node:assert/strict";
import { test } from "node:test";
import type { Canary, JournalEntry, RolloutStatus } from "../../api/serin/index.ts";
import { initialStatus, type Step } from "../decide/index.ts";
import { routeFrom } from "../observe/canary-world/route-in-world.ts";
import { meantIdentity, meantRule, movedRoutes } from "../plan/index.ts";
import { unplannedChange, type Plan } from "./planner.ts";
import type { Rollout } from "./rollout-object.ts";
import { lostEntry, putBack, roundsOf, underWay } from "./testing/one-canary.ts";

test("an order to undo is followed although the target cannot be read, because an undo needs no plan", async () => {
  const canary = roundsOf({ spec: { abort: true } });
  await canary.run(1);
  assert.equal(canary.status().phase, "RollingBack");
});

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

/**
 * A Canary that has completed its run on the first of two rules. Afterwards somebody has inserted a rule before the
 * two.
 */
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
