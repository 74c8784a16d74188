// What an API server records about the owners of a Gateway's status, and what the control plane concludes from it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { gatewayKind, listenerSetKind, type Gateway, type ListenerSet } from "../../src/api/gateway/index.ts";
import { silentLogger, systemClock } from "../../src/base/index.ts";
import { until } from "../../src/base/testing/index.ts";
import { ServerHarness, type Json } from "../../src/cluster/apiserver/testing/index.ts";
import { patchStatus } from "../../src/controlplane/gateways/patch-status.ts";
import { resetGateway, resetListenerSet } from "../../src/controlplane/gateways/status-reset.ts";
import { createKubeClient, type KubeConnection } from "../../src/kube/index.ts";

const definitions = join(import.meta.dirname, "../../manifests/crds/gateway-api.yaml");
const gateways = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways";
const listenerSets = "/apis/gateway.networking.k8s.io/v1/namespaces/default/listenersets";
const listener = { name: "http", port: 80, protocol: "HTTP" };
const condition = (observedGeneration: number, lastTransitionTime: string): Json => ({
  type: "Programmed",
  status: "True",
  reason: "Programmed",
  message: "",
  observedGeneration,
  lastTransitionTime,
});
const mine = { conditions: [condition(1, "2026-01-01T00:00:00Z")] };

const server = new ServerHarness();
let client: KubeConnection;
before(async () => {
  await server.start();
  const { ca, cert, key } = server.credentials();
  client = createKubeClient(
    {
      server: `https://127.0.0.1:${server.port}`,
      context: "test",
      namespace: "default",
      ca,
      clientCertificate: { certificate: cert, key },
    },
    { log: silentLogger, clock: systemClock },
  );
  for (const document of parseAllDocuments(readFileSync(definitions, "utf8"))) {
    const object = document.toJS();
    if (!["gateways", "listenersets", "gatewayclasses"].includes(object?.spec?.names?.plural as string)) continue;
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions`;
    assert.equal((await server.call("POST", path, object)).status, 201);
  }
  await until(async () => (await server.call("GET", gateways)).status === 200);
  await until(async () => (await server.call("GET", listenerSets)).status === 200);
});
after(async () => {
  client?.close();
  await server.remove();
});

/** Writes the whole status as another controller does: reads the object, and puts it back. */
async function putStatus(path: string, status: Json): Promise<void> {
  const { body } = await server.call("GET", path);
  const answer = await server.call("PUT", `${path}/status?fieldManager=other-controller`, { ...body, status });
  assert.equal(answer.status, 200, answer.text);
}

const conditionsOf = async (path: string): Promise<readonly Json[]> =>
  (await server.call("GET", path)).body.status?.conditions ?? [];

test("a status that another controller has written since stays, although we still own values that it kept", async () => {
  const spec = { gatewayClassName: "other", listeners: [listener] };
  await server.call("POST", gateways, { metadata: { name: "edge" }, spec });
  const gateway = (await client.get<Gateway>(gatewayKind, "edge", "default")) ?? assert.fail("no Gateway");
  await patchStatus(client, gatewayKind, gateway, mine as never);
  await server.call("POST", listenerSets, {
    metadata: { name: "set" },
    spec: { parentRef: { name: "edge" }, listeners: [listener] },
  });
  const set = (await client.get<ListenerSet>(listenerSetKind, "set", "default")) ?? assert.fail("no ListenerSet");
  await patchStatus(client, listenerSetKind, set, mine as never);
  const theirs = { conditions: [condition(1, "2026-02-02T00:00:00Z")] };
  await putStatus(`${gateways}/edge`, theirs);
  await putStatus(`${listenerSets}/set`, theirs);
  const kept = (await client.get(gatewayKind, "edge", "default"))?.metadata.managedFields ?? [];
  assert.ok(kept.some(({ manager }) => manager === "istio.io/gateway-controller"));
  await resetListenerSet(client, "default/set");
  await resetGateway(client, "default/edge");
  for (const path of [`${gateways}/edge`, `${listenerSets}/set`])
    assert.deepEqual(await conditionsOf(path), theirs.conditions, path);
});

test("a status that only we have written is removed", async () => {
  const spec = { gatewayClassName: "other", listeners: [listener] };
  await server.call("POST", gateways, { metadata: { name: "own" }, spec });
  const gateway = (await client.get<Gateway>(gatewayKind, "own", "default")) ?? assert.fail("no Gateway");
  await patchStatus(client, gatewayKind, gateway, mine as never);
  await resetGateway(client, "default/own");
  assert.ok((await conditionsOf(`${gateways}/own`)).every(({ status }) => status === "Unknown"));
});
