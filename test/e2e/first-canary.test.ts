// Types every line of the tutorial "A first Canary in five minutes" (docs/first-canary.md), in the tutorial's order.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Tutorial } from "../support/tutorial.ts";

const tutorial = new Tutorial("first-canary", {
  look: "kubectl get pods -n shop; serin canary status -n shop web",
  // The tutorial says that `canary status` ends with 3 after a rollback.
  codeOf: (line, output) => (line.startsWith("serin canary status") && output.includes("RolledBack") ? 3 : 0),
});

const step = (title: string, body: () => Promise<void>): void => void test(title, tutorial.step(title, body));

before(() => assert.ok(tutorial.commands.length > 10, "the tutorial has commands"));
after(async () => await tutorial.delete());

step("a cluster, a mesh, an application and requests", async () => {
  await tutorial.typeUpTo("kubectl wait -n shop --for=condition=Available deployment/users");
});

step("a good version gets half of the requests, then all", async () => {
  assert.match(await tutorial.typeUpTo("serin canary status"), /Completed/);
  assert.match(await tutorial.typeUpTo("kubectl exec"), /nginx server v2/);
});

step("a bad version is rolled back by itself, and the status gives the reason", async () => {
  assert.match(await tutorial.typeUpTo("serin canary status"), /RolledBack[^]*request-success-rate/);
  assert.equal(await tutorial.typeUpTo("kubectl get deployment"), "");
});

step("the last line deletes the cluster", async () => {
  await tutorial.typeUpTo("bin/serin cluster delete");
  tutorial.assertEnd();
});
