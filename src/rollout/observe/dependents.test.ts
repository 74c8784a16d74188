import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition } from "../../api/index.ts";
import { transientError } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { fakePod, fakeView } from "./checks/testing/fake-mesh.ts";
import type { ClusterView } from "./cluster-view.ts";
import { storedDependents } from "./dependents.ts";

test("a namespace whose label selects the old revision depends on it, unless it is being deleted", async () => {
  const namespace = (name: string, more: object = {}): object => ({
    metadata: { name, labels: { "istio.io/rev": "old" }, ...more },
  });
  const namespaces = [namespace("shop"), namespace("gone", { deletionTimestamp: "2026-01-01T00:00:00Z" })];
  const view = Object.assign(fakeView([]), { namespaces: { list: () => namespaces } }) as unknown as ClusterView;
  const client = { list: async () => await Promise.resolve({ items: [] }) } as unknown as KubeClient;
  const found = await storedDependents(client, view, "old");
  assert.deepEqual(
    found.map(({ text }) => text),
    ["namespace shop (its label)"],
  );
});

test("a sidecar says which strategy of its workload keeps a restart from replacing it", async () => {
  const pods = ["db-0", "db-1", "log-x", "web-x"].map((name) => {
    const pod = fakePod({ name, containers: ["istio-proxy"], annotations: { "istio.io/rev": "old" } });
    const kind = name.startsWith("db") ? "StatefulSet" : name.startsWith("log") ? "DaemonSet" : "Pod";
    const owner = { apiVersion: "apps/v1", kind, name: name.split("-")[0] ?? "", uid: "u", controller: true };
    return { ...pod, metadata: { ...pod.metadata, ownerReferences: [owner] } };
  });
  const stored = (updateStrategy: object): object => ({ get: () => ({ spec: { updateStrategy } }) });
  const view = Object.assign(fakeView(pods), {
    namespaces: { list: () => [], get: () => ({ metadata: { labels: { "istio.io/rev": "stable" } } }) },
    injectors: { list: () => [] },
    statefulSets: stored({ rollingUpdate: { partition: 1 } }),
    daemonSets: stored({ type: "OnDelete" }),
  }) as unknown as ClusterView;
  const client = { list: async () => await Promise.resolve({ items: [] }) } as unknown as KubeClient;
  const found = await storedDependents(client, view, "old");
  assert.match(found[0]?.ledElsewhere ?? "", /istio\.io\/rev=stable, which no MutatingWebhookConfiguration selects$/);
  assert.deepEqual(
    found.map(({ name, restartObstacle }) => [name, restartObstacle]),
    [
      ["db-0", "partition"],
      ["db-1", undefined],
      ["log-x", "OnDelete"],
      ["web-x", undefined],
    ],
  );
});

test("a pod is outside of the mesh if its namespace has no label and no injector takes its successor", async () => {
  const labels = { "sidecar.istio.io/inject": "true" };
  const made = { containers: ["istio-proxy"], annotations: { "istio.io/rev": "old" } };
  const pods = [fakePod({ name: "plain", ...made }), fakePod({ name: "asks", labels, ...made })];
  const outside = async (ofNamespace: Readonly<Record<string, string>>): Promise<readonly string[]> => {
    const webhook = { namespaceSelector: {}, objectSelector: { matchLabels: labels } };
    const view = Object.assign(fakeView(pods), {
      namespaces: { list: () => [], get: () => ({ metadata: { labels: ofNamespace } }) },
      injectors: { list: () => [{ metadata: {}, webhooks: [webhook] }] },
    }) as unknown as ClusterView;
    const client = { list: async () => await Promise.resolve({ items: [] }) } as unknown as KubeClient;
    const found = await storedDependents(client, view, "old");
    return found.filter((one) => one.isOutside === true).map(({ name }) => name);
  };
  assert.deepEqual(await outside({}), ["plain"]);
  assert.deepEqual(await outside({ "istio.io/rev": "old" }), []);
});

test("dependents that cannot be listed do not count as absent, but kinds that the cluster does not serve do", async () => {
  const view = Object.assign(fakeView([]), { namespaces: { list: () => [] } }) as unknown as ClusterView;
  const found = async (refused: string, code: "unavailable" | "not-found"): Promise<number> => {
    const client = {
      list: async ({ kind }: KindDefinition) => {
        if (kind === refused) throw transientError(code, `${kind} cannot be listed`);
        return await Promise.resolve({ items: [] });
      },
    } as unknown as KubeClient;
    return (await storedDependents(client, view, "old")).length;
  };
  for (const kind of ["Gateway", "WorkloadEntry"]) {
    await assert.rejects(found(kind, "unavailable"), { message: `${kind} cannot be listed` });
    assert.equal(await found(kind, "not-found"), 0);
  }
});

test("a gateway whose labels name an IstioOperator is left to its operator only if there is one", async () => {
  const labels = { "operator.istio.io/component": "IngressGateways", "istio.io/rev": "old" };
  const owning = {
    "install.operator.istio.io/owning-resource": "unknown",
    "install.operator.istio.io/owning-resource-namespace": "istio-system",
  };
  const pod = fakePod({ name: "front-1-x", labels });
  const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "front-1", uid: "u", controller: true };
  const made = {
    ...pod,
    metadata: { ...pod.metadata, ownerReferences: [owner], labels: { ...labels, "pod-template-hash": "1" } },
  };
  const front = { metadata: { name: "front", namespace: "shop", labels: { ...labels, ...owning } } };
  const view = Object.assign(fakeView([made]), {
    namespaces: { list: () => [], get: () => undefined },
    deployments: { list: () => [front], get: () => front },
    injectors: { list: () => [] },
  }) as unknown as ClusterView;
  const typesWith = async (operator: object | undefined): Promise<readonly string[]> => {
    const raw = async () => ({ status: 404, headers: {}, text: "" });
    const client = { list: async () => ({ items: [] }), get: async () => operator, raw } as unknown as KubeClient;
    return (await storedDependents(client, view, "old")).map(({ type }) => type);
  };
  assert.deepEqual(await typesWith(undefined), ["installedGateway"]);
  assert.deepEqual(await typesWith({ metadata: { name: "unknown" } }), ["ownedGateway"]);
});
