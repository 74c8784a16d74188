import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  mutatingWebhookConfigurationKind,
  validatingWebhookConfigurationKind,
  type WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import type { KindDefinition } from "../../api/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { runCaBundleController } from "./ca-bundle-controller.ts";

const client = new FakeKubeClient();
const clock = { ...systemClock, after: (_ms: number, run: () => void) => systemClock.after(1, run) };
const service = { namespace: "istio-system", name: "istiod" };
const stopped = new AbortController();
let isReady = false;
const put = (kind: KindDefinition, name: string, serviceName: string): void => {
  client.put(kind, {
    metadata: { name },
    webhooks: [
      { name: "a.istio.io", clientConfig: { service: { ...service, name: serviceName } }, failurePolicy: "Ignore" },
    ],
  } as never);
};
put(validatingWebhookConfigurationKind, "ours", "istiod");
put(validatingWebhookConfigurationKind, "theirs", "istiod-canary");
put(mutatingWebhookConfigurationKind, "ours", "istiod");
const running = runCaBundleController(
  {
    client,
    service,
    root: () => "root",
    onRootChange: () => undefined,
    validationDoubt: async () => (isReady ? undefined : "not yet"),
    clock,
    log: silentLogger,
  },
  stopped.signal,
);
after(async () => {
  stopped.abort();
  await running;
});

type Webhook = NonNullable<WebhookConfiguration["webhooks"]>[number];
const webhook = async (kind: KindDefinition<WebhookConfiguration>, name: string): Promise<Webhook | undefined> =>
  (await client.get(kind, name))?.webhooks?.[0];
test("our validation webhooks get the CA bundle at once and fail closed when they are proven to work; other webhooks' policies stay", async () => {
  await until(
    async () => (await webhook(validatingWebhookConfigurationKind, "ours"))?.clientConfig.caBundle === "cm9vdA==",
  );
  assert.equal((await webhook(validatingWebhookConfigurationKind, "ours"))?.failurePolicy, "Ignore");
  isReady = true;
  await until(async () => (await webhook(validatingWebhookConfigurationKind, "ours"))?.failurePolicy === "Fail");
  await until(
    async () => (await webhook(mutatingWebhookConfigurationKind, "ours"))?.clientConfig.caBundle === "cm9vdA==",
  );
  assert.equal((await webhook(mutatingWebhookConfigurationKind, "ours"))?.failurePolicy, "Ignore");
  const theirs = await webhook(validatingWebhookConfigurationKind, "theirs");
  assert.deepEqual([theirs?.clientConfig.caBundle, theirs?.failurePolicy], [undefined, "Ignore"]);
});

test("the failure policy belongs to nobody once it is closed, so that a later server-side apply may open it again", async () => {
  const claim = (manager: string, operation: "Apply" | "Update", ...fields: readonly string[]) => ({
    manager,
    operation,
    fieldsV1: {
      "f:webhooks": { 'k:{"name":"a.istio.io"}': Object.fromEntries(fields.map((field) => [`f:${field}`, {}])) },
    },
  });
  const found = (await client.get(validatingWebhookConfigurationKind, "ours")) ?? assert.fail();
  const managedFields = [
    claim("helm", "Apply", "rules"),
    claim("istiod-ca-bundle", "Update", "clientConfig", "failurePolicy"),
    claim("someone", "Update", "failurePolicy"),
  ];
  client.put(validatingWebhookConfigurationKind, { ...found, metadata: { ...found.metadata, managedFields } });
  const owners = async () =>
    (await client.get(validatingWebhookConfigurationKind, "ours"))?.metadata.managedFields ?? [];
  await until(async () => JSON.stringify(await owners()) !== JSON.stringify(managedFields));
  const [helm, , someone] = managedFields;
  assert.deepEqual(await owners(), [helm, claim("istiod-ca-bundle", "Update", "clientConfig"), someone]);
});
