import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import type { KindDefinition } from "../../api/index.ts";
import { serviceKind, type Secret } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { loadOrCreateCertificate } from "./serving-certificate.ts";
import type { WebhookCertificate } from "./webhook-certificate.ts";

test("a certificate stays in its Secret until half its lifetime or another name; the Secret is deleted with the Service", async () => {
  let stored: Secret | undefined;
  const services: object[] = [];
  const store = async (_kind: unknown, secret: Secret): Promise<Secret> => await Promise.resolve((stored = secret));
  const client = {
    get: async (kind: KindDefinition) => await Promise.resolve(kind === serviceKind ? services[0] : stored),
    create: store,
    update: store,
  } as unknown as KubeClient;
  const load = async (dnsNames: readonly string[], laterMs = 0): Promise<WebhookCertificate> =>
    await loadOrCreateCertificate({
      client,
      clock: { ...systemClock, nowMs: () => Date.now() + laterMs },
      namespace: "serin-system",
      secretName: "webhook",
      serviceName: "serin-rollout",
      dnsNames,
    });
  const names = ["serin-rollout.serin-system.svc", "serin-rollout.serin-system"];
  await assert.rejects(load(names), /there is no Service serin-system\/serin-rollout/);
  services.push({ metadata: { name: "serin-rollout", uid: "u1" } });
  const first = await load(names);
  assert.deepEqual(stored?.metadata.ownerReferences, [
    { apiVersion: "v1", kind: "Service", name: "serin-rollout", uid: "u1" },
  ]);
  const again = await load(names, 180 * 86_400_000);
  assert.equal(again.certificate, first.certificate);
  assert.ok(Math.abs(again.notAfterMs - first.notAfterMs) < 1000);
  const renewed = await load(names, 184 * 86_400_000);
  assert.notEqual(renewed.certificate, first.certificate);
  assert.notEqual((await load(["other.serin-system.svc"], 184 * 86_400_000)).certificate, renewed.certificate);
});
