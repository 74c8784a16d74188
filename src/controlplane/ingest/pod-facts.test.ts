import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { brotliDecompressSync } from "node:zlib";
import type { Pod } from "../../api/kubernetes/index.ts";
import { type Excerpt, pickExcerpt } from "../../kube/index.ts";
import { podFactsExcerpt, podFacts } from "./pod-facts.ts";

interface Table {
  readonly names: readonly string[];
  readonly types: readonly (readonly [readonly (readonly [string, number, string])[]])[];
}

const table = JSON.parse(
  brotliDecompressSync(readFileSync(new URL(import.meta.resolve("#generated/kubernetes/types.json.br")))).toString(),
) as Table;
const codes = { text: "s", "whole number": "i", flag: "b", time: "T", "texts by name": "{s" };

function mismatches(excerpt: Excerpt, typeIndex: number, path: string): string[] {
  const fields = new Map(table.types[typeIndex]?.[0].map(([name, number, type]) => [name, { number, type }]));
  return Object.entries(excerpt).flatMap(([name, { number, holds, repeated }]) => {
    const real = fields.get(name);
    const at = `${path}.${name}`;
    if (real?.number !== number) return [`${at}: ${number}, and ${real?.number} in Kubernetes`];
    const type = real.type.replace(/^\[/, "");
    if ((type !== real.type) !== (repeated ?? false)) return [`${at}: ${real.type} in Kubernetes`];
    if (typeof holds !== "string") return mismatches(holds, Number(type.slice(1)), at);
    return codes[holds] === type ? [] : [`${at}: ${real.type} in Kubernetes`];
  });
}

test("the fields that are read from a pod have Kubernetes' own names, numbers and types", () => {
  assert.deepEqual(mismatches(podFactsExcerpt, table.names.indexOf("io.k8s.api.core.v1.Pod"), "pod"), []);
});

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name: "web-5d8f-x2",
    namespace: "shop",
    uid: "u-1",
    resourceVersion: "17",
    labels: { app: "web", "pod-template-hash": "5d8f", "networking.istio.io/tunnel": "http" },
    annotations: { "ambient.istio.io/redirection": "enabled", "sidecar.istio.io/interceptionMode": "TPROXY" },
    deletionTimestamp: "2026-01-01T00:00:00Z",
    ownerReferences: [
      {
        apiVersion: "apps/v1",
        kind: "ReplicaSet",
        name: "web-5d8f",
        uid: "u-2",
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
    managedFields: [{ manager: "kubelet", operation: "Update" }],
  },
  spec: {
    hostNetwork: true,
    nodeName: "node-1",
    serviceAccountName: "web",
    containers: [{ name: "app", image: "web:1", ports: [{ name: "http", containerPort: 8080, protocol: "TCP" }] }],
    initContainers: [
      {
        name: "istio-proxy",
        image: "proxy",
        args: ["proxy", "sidecar"],
        env: [{ name: "ISTIO_META_ENABLE_HBONE", value: "true" }],
      },
    ],
  },
  status: {
    phase: "Running",
    podIP: "10.1.0.1",
    podIPs: [{ ip: "10.1.0.1" }, { ip: "fd00::1" }],
    conditions: [{ type: "Ready", status: "True", reason: "x" }],
    qosClass: "Burstable",
  },
};

test("a pod's facts are the same from the read fields as from the whole pod", () => {
  const read = pickExcerpt(podFactsExcerpt, pod);
  assert.deepEqual([read.metadata.managedFields, read.status?.qosClass], [undefined, undefined]);
  assert.deepEqual(podFacts(read), podFacts(pod));
  const router: Pod = {
    ...pod,
    spec: { containers: [{ name: "istio-proxy", image: "proxy", args: ["proxy", "router"] }] },
    status: { podIP: "10.1.0.2" },
  };
  assert.deepEqual(podFacts(pickExcerpt(podFactsExcerpt, router)), podFacts(router));
});

test("a pod's workload is named after its controller of any kind, or by a label", () => {
  const nameOf = (kind: string, owner: string, labels: Record<string, string> = {}): unknown => {
    const ownerReferences = [{ apiVersion: "apps/v1", kind, name: owner, uid: "1", controller: true }];
    const facts = podFacts({ metadata: { name: "pod-1", namespace: "shop", labels, ownerReferences } });
    return [facts?.workloadName, facts?.workloadType];
  };
  assert.deepEqual(nameOf("DaemonSet", "ztunnel"), ["ztunnel", "pod"]);
  assert.deepEqual(nameOf("StatefulSet", "db"), ["db", "pod"]);
  assert.deepEqual(nameOf("constructor", "db"), ["db", "pod"]);
  assert.deepEqual(nameOf("ReplicaSet", "web-abc", { "pod-template-hash": "abc" }), ["web", "deployment"]);
  assert.deepEqual(nameOf("Job", "nightly-29400000"), ["nightly", "cronjob"]);
  assert.deepEqual(nameOf("DaemonSet", "ztunnel", { "service.istio.io/workload-name": "mine" }), ["mine", "pod"]);
});

test("an address in the status of a pod without a node belongs to no workload", () => {
  const status = { podIP: "10.244.1.5", podIPs: [{ ip: "10.244.1.5" }] };
  const addressesOf = (spec: NonNullable<Pod["spec"]>) =>
    podFacts({ metadata: { name: "web", namespace: "shop" }, spec, status })?.addresses;
  assert.deepEqual(addressesOf({ containers: [], nodeName: "a" }), ["10.244.1.5"]);
  assert.deepEqual(addressesOf({ containers: [] }), []);
});
