import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import { fakePod, fakeView, sidecarPod } from "./checks/testing/fake-mesh.ts";
import type { ClusterView } from "./cluster-view.ts";
import { howToRestart, sidecarRevision, sidecarWorkloads } from "./sidecar-workloads.ts";

test("a proxy in an operator's template is not a sidecar, but one in a template of kube-inject is", () => {
  const proxy = { name: "g", containers: ["istio-proxy"], labels: { "sidecar.istio.io/inject": "false" } };
  const annotations = { "istio.io/rev": "old" };
  assert.equal(sidecarRevision(fakePod({ ...proxy, annotations })), undefined);
  const injected = fakePod({ ...proxy, annotations: { ...annotations, "sidecar.istio.io/status": "{}" } });
  assert.equal(sidecarRevision(injected), "old");
});

test("the message has the command that restarts a pod's workload, or deletes a pod without one", () => {
  const pod = sidecarPod("web-5d9-x", "new", "web");
  const owned = (kind: string, name: string, labels: Readonly<Record<string, string>> = {}): Pod => ({
    ...pod,
    metadata: {
      ...pod.metadata,
      namespace: "shop",
      labels,
      ownerReferences: [{ apiVersion: "apps/v1", kind, name, uid: "u", controller: true }],
    },
  });
  const none = { get: () => undefined };
  const view = Object.assign(fakeView([]), {
    deployments: none,
    statefulSets: none,
    daemonSets: none,
  }) as unknown as ClusterView;
  assert.equal(
    howToRestart(view, owned("ReplicaSet", "web-5d9", { "pod-template-hash": "5d9" })),
    "kubectl -n shop rollout restart deployment/web",
  );
  assert.equal(howToRestart(view, owned("StatefulSet", "db")), "kubectl -n shop rollout restart statefulset/db");
  assert.equal(howToRestart(view, owned("Job", "once")), "kubectl -n shop delete pod web-5d9-x");
});

test("a paused Deployment is not moved, and the message explains how to resume it", () => {
  const pod = sidecarPod("web-1", "old", "web");
  const deployment = { metadata: { name: "web", namespace: pod.metadata.namespace ?? "" }, spec: { paused: true } };
  const view = Object.assign(fakeView([pod]), {
    deployments: { list: () => [deployment], get: () => deployment },
  }) as unknown as ClusterView;
  const [workload] = [...sidecarWorkloads(view).values()].flat();
  assert.equal(
    workload?.unmovable,
    `the Deployment is paused: kubectl -n ${deployment.metadata.namespace} rollout resume deployment/web, then restart it`,
  );
});

test("a Deployment that a Canary holds is restarted by a change of its template, which the Canary rolls out", () => {
  const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-5d9", uid: "u", controller: true };
  const named = sidecarPod("web-5d9-x", "old", "web");
  const labels = { ...named.metadata.labels, "pod-template-hash": "5d9" };
  const pod = {
    ...named,
    metadata: { ...named.metadata, namespace: "shop", uid: "p", labels, ownerReferences: [owner] },
  };
  const managedFields = [
    { manager: fieldManager, time: "2026-06-01T00:00:00.000Z", fieldsV1: { "f:spec": { "f:paused": {} } } },
  ];
  const deployment = { metadata: { name: "web", namespace: "shop", managedFields }, spec: { paused: true } };
  const view = Object.assign(fakeView([pod]), {
    deployments: { list: () => [deployment], get: () => deployment },
  }) as unknown as ClusterView;
  const [workload] = [...sidecarWorkloads(view).values()].flat();
  assert.equal(workload?.unmovable, "a Canary holds the Deployment, and moves it with its next change");
  assert.equal(
    howToRestart(view, pod),
    `kubectl -n shop patch deployment web -p '{"spec":{"template":{"metadata":{"annotations":{"rollout.serin.dev/restarted-for":"p"}}}}}'`,
  );
});
