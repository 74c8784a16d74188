import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../api/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { create, toBinary } from "@bufbuild/protobuf";
import { DeltaDiscoveryRequestSchema } from "../wire/discovery/index.ts";
import { config, namespace, node, pod, service } from "./testing/model-fixture.ts";
import { createServedFixture } from "./testing/served-fixture.ts";

const http = { number: 80, name: "http", protocol: "HTTP" };
const webPort = { name: "http", port: 80, targetPort: 8080 };

function address(first: number, index: number): string {
  return `10.${first}.${index >> 8}.${index & 255}`;
}

/** A mesh with a sidecar and a ztunnel. Counts the items that a change computes. */
function countedMesh() {
  const { mesh, change } = createServedFixture();
  const connect = (id: string, metadata: Record<string, unknown>, wanted: readonly string[]): void => {
    const client = mesh.discovery.connect("delta", { write: () => true }, () => true);
    for (const typeUrl of wanted)
      client.receive(
        toBinary(
          DeltaDiscoveryRequestSchema,
          create(DeltaDiscoveryRequestSchema, {
            node: { id, metadata: metadata as Record<string, string> },
            typeUrl,
            resourceNamesSubscribe: ["*"],
          }),
        ),
      );
  };
  const sidecar = pod("shop/web-1", "10.1.0.1", { labels: { app: "web" }, redirected: false }) as KubernetesObject & {
    spec: { containers: object[] };
  };
  sidecar.spec.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env: [] });
  change([namespace("istio-system"), namespace("shop"), node("node-1", "a"), sidecar]);
  connect("sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local", { NAMESPACE: "shop", LABELS: { app: "web" } }, [
    typeUrls.cluster,
    typeUrls.listener,
  ]);
  connect("ztunnel~10.9.0.1~z-1.istio-system~istio-system.svc.cluster.local", {}, [
    typeUrls.address,
    typeUrls.authorization,
  ]);
  const computed = (): number => mesh.graph.collections.reduce((sum, { stats }) => sum + stats.recomputations, 0);
  return {
    change,
    computedBy: (...objects: readonly KubernetesObject[]): number => {
      const before = computed();
      change(objects);
      return computed() - before;
    },
  };
}

interface Case {
  readonly name: string;
  readonly objects: (index: number) => readonly KubernetesObject[];
  readonly changed: (index: number) => KubernetesObject;
}

const machine = (index: number, weight = 1): KubernetesObject =>
  config("WorkloadEntry", `shop/m-${index}`, {
    address: address(2, index),
    labels: { "a-common": "x", app: `app-${index}` },
    weight,
  });
const policy = (index: number, mode: string): KubernetesObject =>
  config("PeerAuthentication", `shop/p-${index}`, {
    selector: { matchLabels: { app: `app-${index}` } },
    mtls: { mode },
  });
const workload = (index: number, labels: Record<string, string> = {}): KubernetesObject =>
  pod(`shop/w-${index}`, address(3, index), { labels: { "a-common": "x", app: `app-${index}`, ...labels } });
const wildcard = (index: number, maxConnections: number): KubernetesObject =>
  config("DestinationRule", `shop/d-${index}`, {
    host: `*.d-${index}.example.org`,
    trafficPolicy: { connectionPool: { tcp: { maxConnections } } },
  });
const cases: readonly Case[] = [
  {
    name: "a WorkloadEntry among ServiceEntries that select others",
    objects: (index) => [
      config("ServiceEntry", `shop/e-${index}`, {
        hosts: [`e-${index}.example.org`],
        ports: [http],
        resolution: "STATIC",
        workloadSelector: { labels: { "a-common": "x", app: `app-${index}` } },
      }),
      machine(index),
    ],
    changed: (index) => machine(index, 2),
  },
  {
    name: "a WorkloadEntry among Services that select others",
    objects: (index) => [
      service(`shop/s-${index}`, address(4, index), { app: `app-${index}` }, [webPort]),
      machine(index),
    ],
    changed: (index) => machine(index, 2),
  },
  {
    name: "a pod among Services that share a label of their selectors",
    objects: (index) => [
      service(`shop/s-${index}`, address(4, index), { "a-common": "x", app: `app-${index}` }, [webPort]),
      workload(index),
    ],
    changed: (index) => workload(index, { version: "v2" }),
  },
  {
    name: "a PeerAuthentication among workloads that others select",
    objects: (index) => [policy(index, "STRICT"), workload(index)],
    changed: (index) => policy(index, "PERMISSIVE"),
  },
  {
    name: "a DestinationRule of a wildcard among services of other wildcards",
    objects: (index) => [
      wildcard(index, 1),
      config("ServiceEntry", `shop/e-${index}`, {
        hosts: [`x.d-${index}.example.org`],
        ports: [http],
        resolution: "DNS",
      }),
    ],
    changed: (index) => wildcard(index, 2),
  },
];

for (const { name, objects, changed } of cases)
  test(`a change computes as many items in a large mesh as in a small one: ${name}`, () => {
    const workOf = (size: number): number => {
      const mesh = countedMesh();
      mesh.change(Array.from({ length: size }, (_, index) => objects(index)).flat());
      return mesh.computedBy(changed(size >> 1));
    };
    const small = workOf(10);
    assert.deepEqual(workOf(80), small);
  });
