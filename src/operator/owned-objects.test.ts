import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../api/index.ts";
import { silentLogger, systemClock } from "../base/index.ts";
import { OwnedObjects } from "./owned-objects.ts";
import { MemoryCluster } from "./testing/memory-cluster.ts";

test("a closed validation stays closed when its webhook is written again for the same Service", async () => {
  const client = new MemoryCluster();
  const owned = new OwnedObjects({
    client,
    labelSelector: "a=b",
    kinds: ["ValidatingWebhookConfiguration"],
    fieldManager: "test",
    onChange: () => undefined,
    clock: systemClock,
    log: silentLogger,
  });
  const wanted = (rules: readonly string[], service = "istiod"): UntypedObject => ({
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: "v" },
    webhooks: ["one", "two"].map((name) => ({
      name,
      failurePolicy: "Ignore",
      clientConfig: { service: { namespace: "istio-system", name: service } },
      rules,
    })),
  });
  const policies = (): unknown =>
    (client.find("ValidatingWebhookConfiguration", "v")?.["webhooks"] as { failurePolicy: string }[] | undefined)?.map(
      ({ failurePolicy }) => failurePolicy,
    );
  await owned.apply(wanted([]));
  assert.deepEqual(policies(), ["Ignore", "Ignore"]);
  const found = client.find("ValidatingWebhookConfiguration", "v");
  client.put("ValidatingWebhookConfiguration", {
    ...found,
    webhooks: ((found?.["webhooks"] ?? []) as { name: string }[]).map((webhook) => ({
      ...webhook,
      failurePolicy: webhook.name === "one" ? "Fail" : "Ignore",
    })),
  } as never);
  await owned.apply(wanted(["more"]));
  assert.deepEqual(policies(), ["Fail", "Ignore"]);
  // The watch has not yet reported the objects that were written for the other control plane.
  await owned.apply(wanted(["more"], "istiod-next"));
  assert.deepEqual(policies(), ["Ignore", "Ignore"]);
});
