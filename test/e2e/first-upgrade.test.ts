// Types every line of the tutorial "A first MeshUpgrade" (docs/first-upgrade.md), in the tutorial's order.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Tutorial } from "../support/tutorial.ts";

const tutorial = new Tutorial("first-upgrade", {
  look: "kubectl get pods -A; serin upgrade status to-next",
  // The tutorial says that `upgrade status` ends with 4 while the upgrade is under way.
  codeOf: (line, output) => (line.startsWith("serin upgrade status") && output.includes("Paused") ? 4 : 0),
});

const step = (title: string, body: () => Promise<void>): void => void test(title, tutorial.step(title, body));

before(() => assert.ok(tutorial.commands.length > 10, "the tutorial has commands"));
after(async () => await tutorial.delete());

step("a cluster, a mesh, an application and requests", async () => {
  await tutorial.typeUpTo("kubectl wait -n shop --for=condition=Available");
});

step("the plan names the steps and blocks nothing", async () => {
  assert.match(await tutorial.typeUpTo("serin upgrade plan"), /shop/);
});

step("the upgrade waits for approval when all pods have the new revision's sidecar", async () => {
  assert.match(await tutorial.typeUpTo("serin upgrade status"), /Paused/);
  const lines = (await tutorial.typeUpTo("serin proxy-status")).split("\n").filter((line) => line.includes(".shop"));
  assert.equal(lines.length, 3, lines.join("\n"));
  for (const line of lines) assert.match(line, /istiod-next-/);
});

step("the approved upgrade removes the old revision", async () => {
  assert.match(await tutorial.typeUpTo("serin upgrade history"), /tested/);
  const left = await tutorial.typeUpTo("kubectl get deployments");
  assert.match(left, /^istiod-next /m);
  assert.doesNotMatch(left, /^istiod /m);
});

step("the undo brings the old revision back and removes the new one", async () => {
  const left = await tutorial.typeUpTo("kubectl get deployments");
  assert.match(left, /^istiod /m);
  assert.doesNotMatch(left, /^istiod-next /m);
});

step("the last line deletes the cluster", async () => {
  await tutorial.typeUpTo("bin/serin cluster delete");
  tutorial.assertEnd();
});
