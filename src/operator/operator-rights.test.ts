// Tests that the operators work with only the rights of their roles, and that the roles allow little more.
// test/e2e/seed-003.test.ts and test/e2e/seed-004.test.ts compare the roles with the requests of a lab.
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, systemClock, type Clock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import type { KubernetesObject } from "../api/index.ts";
import { parseIstioOperator } from "../api/istio/index.ts";
import { banzaiOperatorRules, profiles, renderInstall, renderOperator, resolveSettings } from "../install/index.ts";
import { LeaderElection, QueueMetrics } from "../kube/index.ts";
import { MetricsRegistry } from "../telemetry/index.ts";
import { BanzaiOperator, IstioOperatorController } from "./index.ts";
import { ClientUnderRole, rightsOf, type RuleOfRole } from "./testing/client-under-role.ts";
import { MemoryCluster } from "./testing/memory-cluster.ts";

const namespace = "istio-system";
const definitions = ["virtualservices", "destinationrules"].map((plural) => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `${plural}.networking.istio.io` },
}));
/** A clock whose waits last one hundredth of their time. */
const clock: Clock = {
  ...systemClock,
  steadyMs: () => systemClock.steadyMs() * 100,
  sleep: async (ms, signal) => await systemClock.sleep(ms / 100, signal),
};

const istioRules = renderOperator(
  { hub: "h", tag: "1", namespace: "istio-operator", watchedNamespaces: [], revision: "" },
  [],
)
  .filter(({ kind }) => kind === "ClusterRole")
  .flatMap((role) => (role as unknown as { rules: readonly RuleOfRole[] }).rules);
const banzaiRules = banzaiOperatorRules("banzai-istio-operator-1-6");

/** Runs the operator as leader, with the rights of the role, while the body runs. */
async function whileWorking(
  client: ClientUnderRole,
  name: string,
  work: (signal: AbortSignal) => Promise<void>,
  body: () => Promise<void>,
): Promise<void> {
  const ended = new AbortController();
  const election = new LeaderElection({ client, namespace, name, identity: "pod", clock, log: silentLogger });
  const running = election.run(ended.signal, work);
  try {
    await body();
  } finally {
    ended.abort();
    await running;
  }
}

function unusedOf(rules: readonly RuleOfRole[], client: ClientUnderRole): string[] {
  return rightsOf(rules)
    .filter((right) => !client.used.has(right))
    .toSorted();
}

const each = (verbs: string, resources: string): string[] =>
  resources.split(" ").flatMap((resource) => verbs.split(" ").map((verb) => `${verb} ${resource}`));
const granting = each("escalate bind", "clusterroles.rbac.authorization.k8s.io roles.rbac.authorization.k8s.io");

test("the operator of IstioOperator installs, changes and removes everything under its role, which allows little more", async () => {
  const cluster = new MemoryCluster();
  const client = new ClientUnderRole(cluster, istioRules);
  const controller = new IstioOperatorController({
    client,
    watchedNamespaces: [],
    revision: "",
    defaults: { hub: "h", tag: "1.31.0" },
    customResources: async () => ({ istio: definitions, rollout: definitions }),
    identity: "operator",
    readyTimeoutMs: 600_000,
    queues: new QueueMetrics(new MetricsRegistry()),
    clock,
    log: silentLogger,
  });
  const putOperator = (spec: object, metadata: object = {}): unknown =>
    cluster.put("IstioOperator", {
      metadata: { ...cluster.find("IstioOperator", "mesh", namespace)?.metadata, name: "mesh", namespace, ...metadata },
      spec,
    } as KubernetesObject);
  const isHealthy = (): boolean =>
    (cluster.find("IstioOperator", "mesh", namespace)?.["status"] as { status?: string } | undefined)?.status ===
    "HEALTHY";
  cluster.held.add("DaemonSet/istio-system/ztunnel").add("Deployment/istio-system/istiod");
  putOperator({
    profile: "ambient",
    components: { ingressGateways: [{ name: "istio-ingressgateway", enabled: true }] },
    values: { global: { platform: "gke", networkPolicy: { enabled: true } }, pilot: { autoscaleMin: 2 } },
  });
  await whileWorking(
    client,
    "istio-operator-lock",
    async (signal) => await controller.run(signal),
    async () => {
      await until(() => client.used.has("list pods"), "it looks why istiod does not start");
      // On a fast machine, the installation could end before its lock is renewed for the first time.
      await until(() => client.used.has("patch leases.coordination.k8s.io"), "it renews its lock");
      cluster.release("Deployment", namespace, "istiod");
      await until(() => client.used.has("list events"), "it looks why ztunnel does not start");
      cluster.release("DaemonSet", namespace, "ztunnel");
      await until(isHealthy, "installed");
      putOperator({ profile: "remote", values: { global: { remotePilotAddress: "192.0.2.1" } } });
      await until(() => cluster.find("DaemonSet", "ztunnel", namespace) === undefined && isHealthy(), "changed");
      putOperator({ profile: "remote" }, { deletionTimestamp: "2026-01-01T00:00:00Z" });
      await until(() => cluster.find("IstioOperator", "mesh", namespace) === undefined, "removed");
    },
  );
  assert.deepEqual([...client.refused], []);
  assert.deepEqual(
    unusedOf(istioRules, client),
    [
      // A real API server requires these rights of a writer of roles.
      ...granting,
      // The operator reads the log of a crashed container.
      "get pods/log",
      // The operator removes StatefulSets that have the installation's labels.
      "delete statefulsets.apps",
    ].toSorted(),
  );
});

test("the operator of IstioOperator may write each kind that a profile renders", () => {
  const rights = new Set(rightsOf(istioRules));
  const lacking = new Set<string>();
  for (const profile of Object.keys(profiles)) {
    const spec = { profile, ...(profile === "empty" ? {} : { components: { rollout: { enabled: true } } }) };
    const parsed = parseIstioOperator({ apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", spec });
    const { value: settings } = resolveSettings({ specs: [parsed.value?.spec ?? {}] }, { hub: "h", tag: "1" });
    assert.ok(settings, profile);
    for (const { objects } of renderInstall(settings, { istio: definitions, rollout: [] }).components)
      for (const { kind = "", apiVersion = "" } of objects) {
        const group = apiVersion.includes("/") ? `.${apiVersion.split("/")[0] ?? ""}` : "";
        const resource = `${kind.toLowerCase()}s${group}`;
        for (const verb of ["create", "patch"])
          if (!rights.has(`${verb} ${resource}`)) lacking.add(`${verb} ${resource}`);
      }
  }
  assert.deepEqual([...lacking], []);
});

test("Banzai Cloud's operator installs, moves and removes everything under its role, which allows little more", async () => {
  const cluster = new MemoryCluster();
  const client = new ClientUnderRole(cluster, banzaiRules);
  const operator = new BanzaiOperator({
    client,
    minor: "1.6",
    images: { hub: "h", tag: "1" },
    definitions: async () => definitions,
    clock,
    log: silentLogger,
  });
  const put = (kind: string, name: string, spec: object, metadata: object = {}): void =>
    void cluster.put(kind, {
      metadata: { ...cluster.find(kind, name, namespace)?.metadata, name, namespace, ...metadata },
      spec,
    } as KubernetesObject);
  const statusOf = (kind: string, name: string): string | undefined =>
    (cluster.find(kind, name, namespace)?.["status"] as { Status?: string } | undefined)?.Status;
  cluster.put("Namespace", { metadata: { name: "shop" } });
  put("RemoteIstio", "far", {});
  put("Istio", "foreign", { version: "1.7.7", global: false });
  const gateways = { enabled: true, ingress: { enabled: true, serviceType: "ClusterIP" } };
  const spec = {
    version: "1.6.8",
    gateways,
    autoInjectionNamespaces: ["shop"],
    meshPolicy: { mtlsMode: "STRICT" },
    pilot: { minReplicas: 2, maxReplicas: 3 },
    mixer: { enabled: true },
  };
  put("Istio", "mesh", spec);
  await whileWorking(
    client,
    "banzai-istio-operator-1-6",
    async (signal) => await operator.run(signal),
    async () => {
      await until(() => statusOf("Istio", "mesh") === "Available", "it is available");
      await until(() => statusOf("MeshGateway", "istio-ingressgateway") === "Available", "its gateway is");
      await until(() => statusOf("RemoteIstio", "far") === "Unmanaged", "a RemoteIstio is answered");
      put("Istio", "mesh", {
        ...spec,
        meshPolicy: { mtlsMode: "PERMISSIVE" },
        gateways: { enabled: true, ingress: { enabled: false } },
      });
      await until(() => client.used.has("delete meshgateways.istio.banzaicloud.io"), "the gateway goes");
      await until(() => client.used.has("delete peerauthentications.security.istio.io"), "the policy goes");
      put("Istio", "mesh", spec, { deletionTimestamp: "2026-01-01T00:00:00Z" });
      await until(() => cluster.find("Istio", "mesh", namespace) === undefined, "it is removed");
    },
  );
  assert.deepEqual([...client.refused], []);
  assert.deepEqual(
    unusedOf(banzaiRules, client),
    [
      ...granting,
      // The operator deletes these objects when a gateway moves to another control plane.
      "delete deployments.apps",
      "delete replicasets.apps",
      // An API server may require these rights when an object gets an owner.
      ...each("update", "istios/finalizers.istio.banzaicloud.io meshgateways/finalizers.istio.banzaicloud.io"),
      // The operator patches the earlier Event if an event is repeated.
      "patch events",
      // The proxy checks requests for the operator's metrics.
      "create tokenreviews.authentication.k8s.io",
      "create subjectaccessreviews.authorization.k8s.io",
    ].toSorted(),
  );
});

test("the operators read no Secrets, run nothing in pods, and impersonate no other user", () => {
  for (const rules of [istioRules, banzaiRules]) {
    assert.deepEqual(
      rightsOf(rules).filter((right) => /\*|^impersonate | secrets\b|\/exec|\/proxy|\/token|\/attach/.test(right)),
      [],
    );
  }
});
