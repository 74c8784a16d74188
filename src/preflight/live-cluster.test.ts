import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError, userError } from "../base/index.ts";
import type { KindDefinition, KubernetesObject } from "../api/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { readConnections, readLiveCluster } from "./live-cluster.ts";

test("the mesh's own ztunnels report their connections, and a tenant's pods with the same labels are not called", async () => {
  const paths: string[] = [];
  const client = {
    raw: async (_method: string, path: string) => {
      paths.push(path);
      return await Promise.resolve({ status: 200, headers: {}, text: 'serin_ztunnel_connections{a="b"} 3\n' });
    },
  } as unknown as KubeClient;
  const pod = (namespace: string) => ({
    metadata: { name: "ztunnel-1", namespace, labels: { app: "ztunnel" } },
    status: { phase: "Running" as const },
  });
  const pods = ["istio-system", "kube-system", "tenant"].map(pod);
  const found = await readConnections(client, { pods, controlPlaneNamespaces: new Set(["istio-system"]) });
  assert.deepEqual([...found.keys()], ["istio-system/ztunnel-1", "kube-system/ztunnel-1"]);
  assert.deepEqual(
    paths.filter((path) => path.includes("tenant")),
    [],
  );
});

test("a tenant's Deployment does not count as a control plane to upgrade", async () => {
  const labels = { app: "istiod", "istio.io/rev": "stable" };
  const objects: Readonly<Record<string, readonly KubernetesObject[]>> = {
    Deployment: [{ metadata: { name: "istiod-stable", namespace: "tenant", labels } }],
  };
  const client = {
    list: async ({ kind }: KindDefinition) => await Promise.resolve({ items: objects[kind] ?? [] }),
  } as unknown as KubeClient;
  const error = await readLiveCluster(client, "stable").then(() => assert.fail("it was taken"), describeError);
  assert.match(error, /no control plane of revision "stable" is installed\n {2}hint: no control plane is installed/);
});

test("who may not list admission policies, which earlier releases did not install, still gets a plan", async () => {
  const labels = { app: "istiod", "istio.io/rev": "stable" };
  const of = (name: string): KubernetesObject => ({ metadata: { name, namespace: "istio-system", labels } });
  const objects: Readonly<Record<string, readonly KubernetesObject[]>> = {
    Deployment: [of("istiod-stable")],
    ClusterRole: [of("istiod-clusterrole")],
  };
  const clientWithout = (forbidden: readonly string[]): KubeClient =>
    ({
      list: async ({ kind }: KindDefinition) => {
        if (forbidden.includes(kind)) throw userError("forbidden", `you may not list ${kind}`);
        return await Promise.resolve({ items: objects[kind] ?? [] });
      },
      get: async () => await Promise.resolve(undefined),
    }) as unknown as KubeClient;
  const policies = ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];
  const { installed, unlisted } = await readLiveCluster(clientWithout(policies), "stable");
  assert.deepEqual([...unlisted], policies, "they are not compared");
  assert.deepEqual(
    installed.map(({ kind }) => kind),
    ["ClusterRole", "Deployment"],
  );
  await assert.rejects(readLiveCluster(clientWithout(["ClusterRole"]), "stable"), { code: "forbidden" });
});
