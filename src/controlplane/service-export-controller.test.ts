import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { KindDefinition, KubernetesObject } from "../api/index.ts";
import { serviceKind } from "../api/kubernetes/index.ts";
import { defaultMultiClusterApi, serviceExportKind } from "../api/multicluster/index.ts";
import { silentLogger, systemClock, userError, type ErrorCode } from "../base/index.ts";
import { meshKey } from "./model/facts.ts";
import { exportServices } from "./service-export-controller.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";
import { createModelFixture, service, testMesh } from "./testing/model-fixture.ts";
import { createRemoteFixture } from "./testing/remote-fixture.ts";

const exportKind = serviceExportKind(defaultMultiClusterApi);
const ports = [{ name: "http", port: 80 }];
const stop = new AbortController();
after(() => stop.abort());

class Server extends FakeKubeClient {
  refusal: ErrorCode | undefined;
  tries = 0;

  override async create<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Promise<Value> {
    this.tries += 1;
    if (this.refusal !== undefined) throw userError(this.refusal, "no");
    return await super.create(kind, object);
  }

  async exports(): Promise<readonly string[]> {
    return (await this.list(exportKind)).items.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).sort();
  }
}

function leader() {
  const fixture = createModelFixture();
  const west = createRemoteFixture(fixture, "west");
  const servers = { home: new Server(), west: new Server() };
  const warnings: string[] = [];
  const log = { ...silentLogger, warn: (message: string) => void warnings.push(message), scoped: () => log };
  const known = new Map<string, KubernetesObject>();
  /** Stores a Service in a cluster, and shows it to the model. */
  const put = (cluster: "home" | "west", key: string): void => {
    const object = servers[cluster].put(serviceKind, service(key, "10.96.0.1", {}, ports));
    known.set(`${cluster} ${key}`, object);
    (cluster === "home" ? fixture : west).apply(object);
  };
  void exportServices(
    {
      client: servers.home,
      namespace: "istio-system",
      podName: "istiod-1",
      clusterId: "home",
      api: defaultMultiClusterApi,
      inputs: fixture.inputs,
      remoteClientOf: (id) => (id === "west" ? servers.west : undefined),
      serviceOf: (id, key) => known.get(`${id ?? "home"} ${key}`),
      clock: systemClock,
      log,
    },
    stop.signal,
  );
  return { fixture, servers, put, warnings };
}

async function untilEqual<Value>(look: () => Value | Promise<Value>, wanted: Value): Promise<void> {
  for (let left = 200; left > 0 && JSON.stringify(await look()) !== JSON.stringify(wanted); left -= 1)
    await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(await look(), wanted);
}

test("the leader exports the Services of every cluster, except those that are local to their cluster, and a Service owns its export", async () => {
  const { fixture, servers, put } = leader();
  fixture.inputs.mesh.set(meshKey, {
    ...testMesh,
    serviceSettings: [{ hosts: ["*.local.svc.cluster.local"], clusterLocal: true }],
  });
  for (const key of ["shop/web", "local/db", "kube-system/dns"]) put("home", key);
  put("west", "shop/api");
  await untilEqual(() => servers.home.exports(), ["shop/web"]);
  await untilEqual(() => servers.west.exports(), ["shop/api"]);
  const [owner] = (await servers.home.get(exportKind, "web", "shop"))?.metadata.ownerReferences ?? [];
  const uid = (await servers.home.get(serviceKind, "web", "shop"))?.metadata.uid;
  assert.deepEqual(owner, { apiVersion: "v1", kind: "Service", name: "web", uid });
});

test("an export that a user deleted is not recreated while its Service stays", async () => {
  const { servers, put } = leader();
  put("home", "shop/web");
  await untilEqual(() => servers.home.exports(), ["shop/web"]);
  await servers.home.delete(exportKind, "web", "shop");
  put("home", "shop/web");
  put("home", "shop/other");
  await untilEqual(() => servers.home.exports(), ["shop/other"]);
});

test("a Service that is created again gets its export as soon as that of the earlier Service is gone", async () => {
  const { fixture, servers, put } = leader();
  const ownerUid = async (): Promise<string | undefined> =>
    (await servers.home.get(exportKind, "web", "shop"))?.metadata.ownerReferences?.[0]?.uid;
  put("home", "shop/web");
  await untilEqual(() => servers.home.exports(), ["shop/web"]);
  const earlier = await servers.home.get(exportKind, "web", "shop");
  assert.ok(earlier !== undefined);
  fixture.apply(earlier);
  await servers.home.delete(serviceKind, "web", "shop");
  put("home", "shop/web");
  const uid = (await servers.home.get(serviceKind, "web", "shop"))?.metadata.uid;
  assert.notEqual(await ownerUid(), uid);
  // Kubernetes would delete the export, because the earlier Service owned it.
  await servers.home.delete(exportKind, "web", "shop");
  fixture.remove(earlier);
  await untilEqual(ownerUid, uid);
});

test("a cluster without the definition, or without the right, is reported once, and gets no request for each Service", async () => {
  for (const refusal of ["not-found", "forbidden"] as const) {
    const { servers, put, warnings } = leader();
    servers.west.refusal = refusal;
    put("west", "shop/first");
    await untilEqual(() => warnings.length, 1);
    put("west", "shop/second");
    put("home", "shop/web");
    await untilEqual(() => servers.home.exports(), ["shop/web"]);
    assert.deepEqual([servers.west.tries, warnings.length], [1, 1]);
    assert.match(warnings[0] ?? "", /install their definition, and allow this account to create them/);
  }
});
