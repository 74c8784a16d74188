import assert from "node:assert/strict";
import { test } from "node:test";
import type { Canary } from "../../../api/serin/index.ts";
import type { CanarySources } from "./canary-sources.ts";
import { refuseSharedDeployment } from "./other-canaries.ts";

function canaryOf(name: string, more: object = {}, deployment = "web"): Canary {
  return {
    metadata: { name, namespace: "shop", creationTimestamp: "2026-01-01T00:00:00Z", ...more },
    spec: { target: { deployment: { name: deployment, service: `web-${name}` } } },
  } as unknown as Canary;
}

async function refusalOf(canary: Canary, ...others: readonly Canary[]): Promise<string | undefined> {
  const client = { list: async () => await Promise.resolve({ items: [canary, ...others] }) };
  return await refuseSharedDeployment({ client } as unknown as CanarySources, canary, "web").then(
    () => undefined,
    (error: unknown) => (error as Error).message,
  );
}

test("a second Canary of a Deployment, by another Service, is refused with the name of the first", async () => {
  const first = canaryOf("first");
  const second = canaryOf("second", { creationTimestamp: "2026-01-01T00:00:01Z" });
  assert.equal(
    await refusalOf(second, first),
    "spec.target.deployment.name: Canary shop/first already moves Deployment shop/web; keep one of the two Canaries: change shop/first and delete this one, or kubectl delete canary.rollout.serin.dev first -n shop",
  );
  assert.equal(await refusalOf(first, second), undefined, "only one of the two is refused");
  assert.equal(await refusalOf(second, canaryOf("first", {}, "other")), undefined);
  assert.equal(await refusalOf(second, { metadata: { name: "broken" } } as unknown as Canary), undefined);
});

test("if two Canaries name a Deployment, the one that already holds it goes on, whichever is older", async () => {
  const holding = canaryOf("late", {
    creationTimestamp: "2026-02-01T00:00:00Z",
    finalizers: ["rollout.serin.dev/undo"],
  });
  assert.match(
    (await refusalOf(canaryOf("early"), holding)) ?? "",
    /^spec\.target\.deployment\.name: Canary shop\/late/,
  );
});

test("exactly one of two Canaries of the same second is refused", async () => {
  const refusals = [await refusalOf(canaryOf("a"), canaryOf("b")), await refusalOf(canaryOf("b"), canaryOf("a"))];
  assert.equal(refusals.filter((refusal) => refusal !== undefined).length, 1);
});
