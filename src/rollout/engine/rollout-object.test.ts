import assert from "node:assert/strict";
import { test } from "node:test";
import { journalNameOf, parseRollout, type Rollout } from "./rollout-object.ts";

const target = { httpRoute: { name: "shop", stable: { name: "shop", port: 80 }, canary: { name: "next", port: 80 } } };

function ordersIn(
  run: number,
  startedAt?: string,
): { readonly approved: readonly string[]; readonly promoted: boolean } {
  const approvals = ["2026-01-01T10:00:00Z", "2026-01-01T12:00:00Z"].map((at, index) => ({
    step: `step-${index + 1}`,
    by: "ann",
    why: "",
    at,
  }));
  const spec = { target, steps: [{ weight: 10 }], approvals, fullPromotion: { by: "ann", why: "" } };
  const status = { run, ...(startedAt === undefined ? {} : { startedAt }) };
  const parsed = parseRollout({
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name: "shop", namespace: "shop" },
    spec,
    status,
  } as unknown as Rollout);
  assert.ok("rollout" in parsed);
  return {
    approved: parsed.rollout.spec.approvals.map(({ step }) => step),
    promoted: parsed.rollout.spec.fullPromotion !== undefined,
  };
}

test("an approval of an earlier run does not apply to a later one", () => {
  assert.deepEqual(ordersIn(1, "2026-01-01T11:00:00Z"), { approved: ["step-1", "step-2"], promoted: true });
  assert.deepEqual(ordersIn(2, "2026-01-01T11:00:00Z"), { approved: ["step-2"], promoted: false });
  assert.deepEqual(ordersIn(2), { approved: [], promoted: false });
});

test("a rollout with the longest name has a journal that can be stored", () => {
  const named = (name: string): string =>
    journalNameOf({ kind: "Canary", metadata: { name, namespace: "shop" } } as unknown as Rollout);
  assert.equal(named("web"), "canary.shop.web");
  const long = named("x".repeat(253));
  assert.match(long, /^canary\.shop\.x+-[0-9a-f]{12}$/);
  assert.equal(long.length, 253);
  assert.notEqual(long, named(`${"x".repeat(252)}y`));
});
