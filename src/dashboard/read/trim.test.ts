import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { brotliDecompressSync } from "node:zlib";
import type { Pod } from "../../api/kubernetes/index.ts";
import { pickExcerpt, type Excerpt } from "../../kube/index.ts";
import { trimmedPodExcerpt, trimPod } from "./trim.ts";

interface KnownTypes {
  readonly names: readonly string[];
  readonly types: readonly (readonly [readonly (readonly [name: string, number: number, type: string])[]])[];
}

const known = JSON.parse(
  brotliDecompressSync(readFileSync(new URL(import.meta.resolve("#generated/kubernetes/types.json.br")))).toString(),
) as KnownTypes;
const codes = { text: "s", "whole number": "i", flag: "b", time: "T", "texts by name": "{s" };

/** The fields of the excerpt as Kubernetes defines them: `name number type`. */
function kubernetesOwn(excerpt: Excerpt, type: number): readonly string[] {
  return Object.entries(excerpt).flatMap(([name, { holds }]) => {
    const [, number = 0, code = ""] = known.types[type]?.[0].find(([one]) => one === name) ?? [];
    return typeof holds === "string"
      ? [`${name} ${number} ${code}`]
      : [`${name} ${number} ${code.replace(/#\d+$/, "#")}`, ...kubernetesOwn(holds, Number(code.replace(/^\[?#/, "")))];
  });
}

function asRead(excerpt: Excerpt): readonly string[] {
  return Object.entries(excerpt).flatMap(([name, { number, holds, repeated }]) =>
    typeof holds === "string"
      ? [`${name} ${number} ${codes[holds]}`]
      : [`${name} ${number} ${repeated === true ? "[" : ""}#`, ...asRead(holds)],
  );
}

const status = {
  name: "app",
  ready: true,
  restartCount: 3,
  image: "i",
  imageID: "i",
  state: { terminated: { exitCode: 0, reason: "Completed", startedAt: "2026-01-01T00:00:00Z" } },
  lastState: { running: {} },
};
const whole: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    name: "web-1-x",
    namespace: "shop",
    uid: "u",
    resourceVersion: "7",
    generateName: "web-1-",
    creationTimestamp: "2026-01-01T00:00:00Z",
    deletionTimestamp: "2026-01-02T00:00:00Z",
    labels: { app: "web" },
    annotations: { "prometheus.io/scrape": "true", "sidecar.istio.io/status": "long" },
    finalizers: ["x"],
    managedFields: [{ manager: "kubelet", operation: "Update" }],
    ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-1", uid: "r", controller: true }],
  },
  spec: {
    hostNetwork: true,
    nodeName: "n",
    serviceAccountName: "web",
    containers: [
      {
        name: "app",
        image: "web:1",
        args: ["x"],
        ports: [{ name: "http", containerPort: 80, hostPort: 8080, protocol: "TCP" }],
      },
    ],
    initContainers: [
      { name: "istio-proxy", image: "proxy:1", env: [{ name: "A", value: "b" }], restartPolicy: "Always" },
    ],
  },
  status: {
    phase: "Running",
    reason: "Evicted",
    message: "m",
    podIP: "10.0.0.1",
    podIPs: [{ ip: "10.0.0.1" }],
    startTime: "2026-01-01T00:00:01Z",
    conditions: [
      { type: "Ready", status: "True", reason: "x" },
      { type: "Initialized", status: "True" },
    ],
    containerStatuses: [status],
    initContainerStatuses: [{ ...status, name: "init" }],
  },
};

test("the fields that are read from a pod have Kubernetes' own names, numbers and types", () => {
  assert.deepEqual(
    asRead(trimmedPodExcerpt),
    kubernetesOwn(trimmedPodExcerpt, known.names.indexOf("io.k8s.api.core.v1.Pod")),
  );
});

test("every stored part of a pod is read, and little more", () => {
  assert.deepEqual(trimPod(pickExcerpt(trimmedPodExcerpt, whole)), trimPod(whole));
  assert.equal(JSON.stringify(pickExcerpt(trimmedPodExcerpt, whole)).includes("managedFields"), false);
});

test("omitted zero values mean that a container is unready, was never restarted, and ended successfully", () => {
  const told = { name: "app", state: { terminated: { reason: "Completed" } } };
  const pod = { ...whole, status: { ...whole.status, containerStatuses: [told] } } as unknown as Pod;
  assert.deepEqual(trimPod(pod).status?.containerStatuses, [
    {
      name: "app",
      ready: false,
      restartCount: 0,
      image: "",
      imageID: "",
      state: { terminated: { reason: "Completed", exitCode: 0 } },
    },
  ]);
});
