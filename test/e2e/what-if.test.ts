// What-if over a real API server without nodes: control planes that have run for long must answer as fresh ones do,
// whatever was read or written before.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { KindDefinition, UntypedObject } from "../../src/api/index.ts";
import { istioKinds } from "../../src/api/istio/index.ts";
import { serviceKind } from "../../src/api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../src/base/index.ts";
import {
  createKubeClient,
  loadKubeConfig,
  type KubeConfig,
  type KubeConnection,
  type OverlaidObject,
} from "../../src/kube/index.ts";
import { WhatIf, type WhatIfReport } from "../../src/preflight/what-if/index.ts";
import { startApiServer, type PlainApiServer } from "../interop/mesh/plain-api-server.ts";
import { root } from "../support/lab-cluster.ts";

const directory = mkdtempSync(join(tmpdir(), "serin-what-if-"));
/** At the lowest priority beside other files, this file takes eight minutes on a slow machine. */
const timeLimitMs = 900_000;
let api: PlainApiServer;
let config: KubeConfig;
let client: KubeConnection;
const options = {
  releaseDirectory: root,
  istioNamespace: "istio-system",
  env: process.env,
  clock: systemClock,
  log: silentLogger,
};
const kept = new WhatIf(options);

const proxyArgs = ["proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local"];

function workload(name: string, version: string, address: string): UntypedObject[] {
  const labels = { app: name, version, "service.istio.io/canonical-name": name };
  const metadata = {
    name: `${name}-${version}`,
    namespace: "shop",
    labels,
    annotations: { "sidecar.istio.io/status": "{}" },
  };
  const containers = [
    { name: "main", image: "docker.io/library/busybox:1.28" },
    { name: "istio-proxy", image: "docker.io/istio/proxyv2:1.31.0", args: proxyArgs },
  ];
  return [
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata,
      spec: { schedulerName: "nobody", nodeName: "node-a", containers },
      status: {
        phase: "Running",
        podIP: address,
        podIPs: [{ ip: address }],
        conditions: [{ type: "Ready", status: "True" }],
      },
    },
  ];
}

function service(name: string, addresses: readonly string[]): UntypedObject[] {
  const metadata = { name, namespace: "shop" };
  const endpoints = addresses.map((address) => ({ addresses: [address], conditions: { ready: true } }));
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8080 }] },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: `${name}-1`, namespace: "shop", labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "http", port: 8080 }],
      endpoints,
    },
  ];
}

function route(weights: readonly [number, number]): UntypedObject {
  const destinations = weights.map((weight, index) => ({
    destination: { host: "reviews", subset: `v${index + 1}` },
    weight,
  }));
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: "reviews", namespace: "shop" },
    spec: { hosts: ["reviews"], http: [{ route: destinations }] },
  };
}

const subsets: UntypedObject = {
  apiVersion: "networking.istio.io/v1",
  kind: "DestinationRule",
  metadata: { name: "reviews", namespace: "shop" },
  spec: { host: "reviews", subsets: ["v1", "v2"].map((name) => ({ name, labels: { version: name } })) },
};

before(async () => {
  api = await startApiServer(directory);
  const control = { name: "istiod", namespace: "istio-system", labels: { app: "istiod", "istio.io/rev": "default" } };
  const template = {
    metadata: { labels: { app: "istiod" } },
    spec: { containers: [{ name: "discovery", image: "docker.io/istio/pilot" }] },
  };
  const objects: UntypedObject[] = [
    ...["default", "istio-system", "shop"].map((name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } })),
    ...["istio-system", "shop"].map((namespace) => ({
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "default", namespace },
    })),
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "istio", namespace: "istio-system" },
      data: { mesh: "{}" },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: control,
      spec: { selector: { matchLabels: { app: "istiod" } }, template },
    },
    ...workload("web", "v1", "10.244.0.5"),
    ...workload("reviews", "v1", "10.244.0.6"),
    ...workload("reviews", "v2", "10.244.0.7"),
    ...service("web", ["10.244.0.5"]),
    ...service("reviews", ["10.244.0.6", "10.244.0.7"]),
  ];
  for (const object of objects) await api.objects.create(object);
  config = await loadKubeConfig({ KUBECONFIG: api.kubeconfig });
  client = createKubeClient(config, { log: silentLogger, clock: systemClock });
});
after(async () => {
  await kept.close();
  client.close();
  const ended = once(api.child, "exit");
  api.stop();
  api.child.kill("SIGKILL");
  await ended;
  rmSync(directory, { recursive: true, force: true });
});

async function asStored(object: UntypedObject): Promise<OverlaidObject> {
  const kind = [...istioKinds, serviceKind].find(
    (one) => one.kind === object.kind,
  ) as unknown as KindDefinition<UntypedObject>;
  const live = await api.objects.get(object);
  const metadata = {
    uid: "what-if",
    resourceVersion: "1",
    creationTimestamp: "2026-01-01T00:00:00Z",
    ...live?.metadata,
    ...object.metadata,
  };
  return { kind, object: { ...live, ...object, metadata } };
}

async function askBoth(
  ...objects: readonly UntypedObject[]
): Promise<{ readonly report: WhatIfReport; readonly tookMs: number }> {
  const question = {
    client,
    kubeConfig: config,
    objects: await Promise.all(objects.map(asStored)),
    signal: AbortSignal.timeout(timeLimitMs),
  };
  const began = performance.now();
  const report = await kept.ask(question);
  const tookMs = performance.now() - began;
  const fresh = new WhatIf(options);
  try {
    assert.deepEqual(report, await fresh.ask(question));
  } finally {
    await fresh.close();
  }
  return { report, tookMs };
}

const changed = ({ proxies }: WhatIfReport): string[] =>
  proxies.map(
    ({ proxy, changes }) => `${proxy}: ${changes.map(({ resource, change }) => `${resource} ${change}`).join(", ")}`,
  );

test(
  "long-lived control planes answer like fresh ones for new, changed and deleted objects, in any order of requests and writes",
  { timeout: timeLimitMs },
  async (t) => {
    const first = await askBoth(subsets, route([90, 10]));
    assert.equal(first.report.compared, 3);
    assert.ok(
      changed(first.report).some((line) => line.includes("route 80")),
      changed(first.report).join("\n"),
    );
    // The what-if before this one has left nothing behind.
    const alone = await askBoth(subsets);
    assert.ok(!changed(alone.report).some((line) => line.includes("route 80")), changed(alone.report).join("\n"));
    await api.objects.create(subsets);
    await api.objects.create(route([90, 10]));
    const moved = await askBoth(route([50, 50]));
    assert.ok(
      changed(moved.report).some((line) => line.startsWith("web-v1: route 80 changed")),
      changed(moved.report).join("\n"),
    );
    const same = await askBoth(route([90, 10]));
    assert.deepEqual(changed(same.report), []);
    await api.objects.delete(route([90, 10]));
    const again = await askBoth(route([50, 50]));
    assert.ok(
      changed(again.report).some((line) => line.includes("route 80")),
      changed(again.report).join("\n"),
    );
    // An overlay may also contain Kubernetes' own kinds.
    const renamed = await askBoth({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "ratings", namespace: "shop" },
      spec: {
        clusterIP: "10.96.7.7",
        clusterIPs: ["10.96.7.7"],
        selector: { app: "reviews" },
        ports: [{ name: "http", port: 9080, targetPort: 8080 }],
      },
    });
    assert.ok(
      changed(renamed.report).some((line) => line.includes("cluster")),
      changed(renamed.report).join("\n"),
    );
    t.diagnostic(
      `the first took ${Math.round(first.tookMs)} ms, the others ${[alone, moved, same, again, renamed].map(({ tookMs }) => Math.round(tookMs)).join(", ")} ms`,
    );
  },
);
