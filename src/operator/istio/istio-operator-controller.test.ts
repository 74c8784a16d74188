import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, systemClock, type Clock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import type { KubernetesObject } from "../../api/index.ts";
import { LeaderElection } from "../../kube/index.ts";
import { MemoryCluster } from "../testing/memory-cluster.ts";
import { IstioOperatorController, type IstioOperatorStatus } from "./istio-operator-controller.ts";

const definitions = [
  {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "virtualservices.networking.istio.io" },
  },
];
const namespace = "istio-system";
/** Waits on this clock take one hundredth of their time, so that retries and leases are short. */
const clock: Clock = { ...systemClock, sleep: async (ms, signal) => await systemClock.sleep(ms / 100, signal) };

interface OperatorFlags {
  readonly revision?: string;
  readonly readyTimeoutMs?: number;
}

function controllerOf(
  cluster: MemoryCluster,
  { revision = "", readyTimeoutMs = 60_000 }: OperatorFlags = {},
): IstioOperatorController {
  return new IstioOperatorController({
    client: cluster,
    watchedNamespaces: [],
    revision,
    defaults: { hub: "h", tag: "1.31.0" },
    customResources: async () => ({ istio: definitions, rollout: [] }),
    identity: "operator",
    readyTimeoutMs,
    clock,
    log: silentLogger,
  });
}

/** Runs the body while an operator runs. Ends the operator even if the body fails. */
async function whileOperated(
  cluster: MemoryCluster,
  body: () => Promise<unknown>,
  flags: OperatorFlags = {},
): Promise<void> {
  const ended = new AbortController();
  const running = controllerOf(cluster, flags).run(ended.signal);
  try {
    await body();
  } finally {
    ended.abort();
    await running;
  }
}

function putOperator(cluster: MemoryCluster, name: string, spec: object, metadata: object = {}): void {
  cluster.put("IstioOperator", {
    metadata: { ...cluster.find("IstioOperator", name, namespace)?.metadata, name, namespace, ...metadata },
    spec,
  } as KubernetesObject);
}

function statusOf(cluster: MemoryCluster, name: string): IstioOperatorStatus | undefined {
  return cluster.find("IstioOperator", name, namespace)?.["status"] as IstioOperatorStatus | undefined;
}

function healthOf(cluster: MemoryCluster, name: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(statusOf(cluster, name)?.componentStatus ?? {}).map(([component, { status }]) => [
      component,
      status,
    ]),
  );
}

const isHealthy = (cluster: MemoryCluster, name: string) => (): boolean =>
  statusOf(cluster, name)?.status === "HEALTHY";

test("an object is installed and becomes healthy, and a change is applied with removals", async () => {
  const cluster = new MemoryCluster();
  putOperator(cluster, "mesh", { profile: "default" });
  await whileOperated(cluster, async () => {
    await until(isHealthy(cluster, "mesh"), "installed");
    assert.deepEqual(healthOf(cluster, "mesh"), { Base: "HEALTHY", Pilot: "HEALTHY", IngressGateways: "HEALTHY" });
    assert.deepEqual(cluster.find("IstioOperator", "mesh", namespace)?.metadata.finalizers, [
      "istio-finalizer.install.istio.io",
    ]);
    assert.equal(
      cluster.find("Deployment", "istiod", namespace)?.metadata.labels?.["install.operator.istio.io/owning-resource"],
      "mesh",
    );
    putOperator(cluster, "mesh", { profile: "minimal", components: { cni: { enabled: true } } });
    await until(
      () =>
        cluster.find("DaemonSet", "istio-cni-node", namespace) !== undefined &&
        cluster.find("Deployment", "istio-ingressgateway", namespace) === undefined,
      "changed",
    );
    await until(isHealthy(cluster, "mesh"), "healthy again");
    assert.deepEqual(healthOf(cluster, "mesh"), { Base: "HEALTHY", Pilot: "HEALTHY", Cni: "HEALTHY" });
    assert.ok(cluster.find("Deployment", "istiod", namespace));
  });
});

test("the status names the generation of the object that the operator acts on, also while it waits for pods and after an error", async () => {
  const cluster = new MemoryCluster();
  const acts = (status: string) => () => {
    const { metadata } = cluster.find("IstioOperator", "mesh", namespace) ?? {};
    const found = statusOf(cluster, "mesh");
    return found?.status === status && found.observedGeneration === metadata?.generation;
  };
  putOperator(cluster, "mesh", { profile: "minimal" });
  await whileOperated(cluster, async () => {
    await until(acts("HEALTHY"), "installed");
    putOperator(cluster, "mesh", { profile: "minimal", components: { pilot: { enabled: false } } });
    await until(acts("HEALTHY"), "removed");
    assert.equal(cluster.find("Deployment", "istiod", namespace), undefined);
    cluster.held.add(`Deployment/${namespace}/istiod`);
    putOperator(cluster, "mesh", { profile: "minimal" });
    await until(acts("RECONCILING"), "waiting for istiod");
    putOperator(cluster, "mesh", { profile: "none-such" });
    await until(acts("ERROR"), "refused");
  });
});

test("deleted objects are restored, and the status stays healthy", async () => {
  const cluster = new MemoryCluster();
  putOperator(cluster, "mesh", { profile: "minimal" });
  await whileOperated(cluster, async () => {
    await until(isHealthy(cluster, "mesh"), "installed");
    await cluster.delete(
      { group: "", versions: ["v1"], kind: "Service", plural: "services", namespaced: true },
      "istiod",
      namespace,
    );
    assert.equal(cluster.find("Service", "istiod", namespace), undefined);
    await until(() => cluster.find("Service", "istiod", namespace) !== undefined, "repaired");
    assert.equal(statusOf(cluster, "mesh")?.status, "HEALTHY");
  });
});

test("a deleted object removes its revision, webhooks first, and keeps the base", async () => {
  const cluster = new MemoryCluster();
  putOperator(cluster, "mesh", { profile: "minimal" });
  putOperator(cluster, "canary", { profile: "minimal", revision: "canary" });
  await whileOperated(cluster, async () => {
    await until(() => isHealthy(cluster, "mesh")() && isHealthy(cluster, "canary")(), "installed");
    cluster.writes.length = 0;
    putOperator(
      cluster,
      "canary",
      { profile: "minimal", revision: "canary" },
      { deletionTimestamp: "2026-01-01T00:00:00Z" },
    );
    await until(() => cluster.find("IstioOperator", "canary", namespace) === undefined, "gone");
    assert.match(cluster.writes.find((write) => write.startsWith("delete")) ?? "", /WebhookConfiguration/);
    assert.deepEqual(cluster.names("Deployment"), ["istio-system/istiod", "serin-system/serin-rollout"]);
    assert.ok(cluster.find("ServiceAccount", "istio-reader-service-account", namespace));
    assert.equal(statusOf(cluster, "mesh")?.status, "HEALTHY");
  });
});

test("if an object becomes invalid and is then deleted, what it installed is removed", async () => {
  const cluster = new MemoryCluster();
  putOperator(cluster, "mesh", { profile: "minimal" });
  putOperator(cluster, "canary", { profile: "minimal", revision: "canary" });
  await whileOperated(cluster, async () => {
    await until(() => isHealthy(cluster, "mesh")() && isHealthy(cluster, "canary")(), "installed");
    const invalid = { profile: "nonsense", revision: "canary" };
    putOperator(cluster, "canary", invalid);
    await until(() => statusOf(cluster, "canary")?.status === "ERROR", "reported");
    putOperator(cluster, "canary", invalid, { deletionTimestamp: "2026-01-01T00:00:00Z" });
    await until(() => cluster.find("IstioOperator", "canary", namespace) === undefined, "gone");
    assert.deepEqual(cluster.names("Deployment"), ["istio-system/istiod", "serin-system/serin-rollout"]);
  });
});

test("the annotation that moves gateways takes effect at once, although it changes no generation", async () => {
  const cluster = new MemoryCluster();
  const gateways = { profile: "default" };
  putOperator(cluster, "mesh", gateways);
  putOperator(cluster, "canary", { ...gateways, revision: "canary" });
  const revision = (): string | undefined =>
    cluster.find("Deployment", "istio-ingressgateway", namespace)?.metadata.labels?.["istio.io/rev"];
  await whileOperated(cluster, async () => {
    await until(() => isHealthy(cluster, "mesh")() && isHealthy(cluster, "canary")(), "installed");
    assert.equal(revision(), "default");
    const annotations = { "install.serin.dev/upgrade-gateways": "true" };
    putOperator(cluster, "canary", { ...gateways, revision: "canary" }, { annotations });
    await until(() => revision() === "canary", "moved");
  });
});

test("a gateway that stays with another revision is healthy, and one that is not ready yet is not", async () => {
  const cluster = new MemoryCluster();
  putOperator(cluster, "mesh", { profile: "default" });
  await whileOperated(cluster, async () => {
    await until(isHealthy(cluster, "mesh"), "installed");
    cluster.held.add(`Deployment/${namespace}/istio-egressgateway`);
    const egressGateways = [{ name: "istio-egressgateway", enabled: true }];
    putOperator(cluster, "canary", { profile: "default", revision: "canary", components: { egressGateways } });
    await until(() => healthOf(cluster, "canary")["Pilot"] === "HEALTHY", "the control plane is ready");
    assert.deepEqual(healthOf(cluster, "canary"), {
      Base: "HEALTHY",
      Pilot: "HEALTHY",
      IngressGateways: "HEALTHY",
      EgressGateways: "RECONCILING",
    });
  });
});

test("the node agent that a second revision took over stays with the first, and goes with the object that alone installs it", async () => {
  const cluster = new MemoryCluster();
  const hasAgent = (): boolean => cluster.find("DaemonSet", "istio-cni-node", namespace) !== undefined;
  const canary = (profile: string): object => ({ profile, revision: "canary" });
  putOperator(cluster, "mesh", { profile: "ambient" });
  await whileOperated(cluster, async () => {
    await until(isHealthy(cluster, "mesh"), "installed");
    putOperator(cluster, "canary", canary("ambient"));
    await until(isHealthy(cluster, "canary"), "the second too");
    putOperator(cluster, "canary", canary("minimal"));
    await until(() => cluster.find("DaemonSet", "ztunnel-canary", namespace) === undefined, "pruned");
    await until(isHealthy(cluster, "canary"), "smaller");
    assert.ok(hasAgent());
    putOperator(cluster, "canary", canary("minimal"), { deletionTimestamp: "2026-01-01T00:00:00Z" });
    await until(() => cluster.find("IstioOperator", "canary", namespace) === undefined, "gone");
    assert.ok(hasAgent());
  });
  const split = new MemoryCluster();
  const agentAlone = { profile: "empty", components: { cni: { enabled: true } } };
  putOperator(split, "mesh", { profile: "minimal", revision: "one" });
  putOperator(split, "agent", agentAlone);
  await whileOperated(split, async () => {
    await until(() => isHealthy(split, "mesh")() && isHealthy(split, "agent")(), "installed");
    assert.ok(split.find("DaemonSet", "istio-cni-node", namespace));
    putOperator(split, "agent", agentAlone, { deletionTimestamp: "2026-01-01T00:00:00Z" });
    await until(() => split.find("IstioOperator", "agent", namespace) === undefined, "gone");
    assert.equal(split.find("DaemonSet", "istio-cni-node", namespace), undefined);
  });
});

test("a gateway that a MeshUpgrade moved outlives the object that installed it, and a label excludes it from pruning", async () => {
  const cluster = new MemoryCluster();
  const label = { "install.operator.istio.io/owning-resource-not-pruned": "true" };
  const ingressGateways = [{ name: "istio-ingressgateway", enabled: true, label }];
  putOperator(cluster, "mesh", { profile: "minimal", components: { ingressGateways } });
  const gateway = () => cluster.find("Deployment", "istio-ingressgateway", namespace);
  const isPruned = (): boolean => isHealthy(cluster, "mesh")() && !("IngressGateways" in healthOf(cluster, "mesh"));
  await whileOperated(cluster, async () => {
    await until(isHealthy(cluster, "mesh"), "installed");
    assert.equal(healthOf(cluster, "mesh")["IngressGateways"], "HEALTHY");
    putOperator(cluster, "mesh", { profile: "minimal" });
    await until(isPruned, "smaller");
    const found = gateway();
    assert.ok(found);
    const fieldsV1 = { "f:metadata": { "f:labels": { "f:istio.io/rev": {} } } };
    const managedFields = [{ manager: "serin-rollout", fieldsV1 }];
    const labels = { ...found.metadata.labels, "istio.io/rev": "next" };
    cluster.put("Deployment", { ...found, metadata: { ...found.metadata, labels, managedFields } });
    putOperator(cluster, "mesh", { profile: "minimal" }, { deletionTimestamp: "2026-01-01T00:00:00Z" });
    await until(() => cluster.find("IstioOperator", "mesh", namespace) === undefined, "gone");
    assert.equal(gateway()?.metadata.labels?.["istio.io/rev"], "next");
    assert.equal(cluster.find("Service", "istio-ingressgateway", namespace), undefined);
  });
});

test("a deleted quota is restored, without which a platform may refuse the node's pods", async () => {
  const cluster = new MemoryCluster();
  putOperator(cluster, "mesh", { profile: "ambient", values: { global: { platform: "gke" } } });
  const quota = () => cluster.find("ResourceQuota", "istio-cni-resource-quota", namespace);
  await whileOperated(cluster, async () => {
    await until(isHealthy(cluster, "mesh"), "installed");
    assert.ok(quota());
    await cluster.delete(
      { group: "", versions: ["v1"], kind: "ResourceQuota", plural: "resourcequotas", namespaced: true },
      "istio-cni-resource-quota",
      namespace,
    );
    assert.equal(quota(), undefined);
    await until(() => quota() !== undefined, "repaired");
  });
});

test("a bad spec is reported in the status and changes nothing, and a corrected one is applied", async () => {
  const cluster = new MemoryCluster();
  putOperator(cluster, "mesh", { profile: "ambiant" });
  await whileOperated(cluster, async () => {
    await until(() => statusOf(cluster, "mesh") !== undefined, "refused");
    assert.deepEqual(statusOf(cluster, "mesh"), {
      status: "ERROR",
      message:
        'spec.profile: there is no profile "ambiant"; did you mean "ambient"?; known: ambient, default, demo, empty, minimal, preview, remote, stable',
      componentStatus: {},
      observedGeneration: 1,
    });
    assert.deepEqual(cluster.names("Deployment"), []);
    putOperator(cluster, "mesh", { profile: "minimal" });
    await until(isHealthy(cluster, "mesh"), "installed");
    assert.equal(statusOf(cluster, "mesh")?.message, undefined);
  });
});

test("a copy of a spec that istioctl installed, which tells operators to ignore it, is neither installed nor a rival", async () => {
  const cluster = new MemoryCluster();
  const annotations = { "install.istio.io/ignoreReconcile": "true" };
  putOperator(cluster, "installed-state", { profile: "minimal" }, { annotations });
  putOperator(cluster, "mesh", { profile: "minimal" });
  await whileOperated(cluster, async () => {
    await until(isHealthy(cluster, "mesh"), "installed");
    assert.equal(statusOf(cluster, "installed-state"), undefined);
    assert.equal(cluster.find("IstioOperator", "installed-state", namespace)?.metadata.finalizers, undefined);
    const labels = {
      "install.operator.istio.io/owning-resource": "installed-state",
      "install.operator.istio.io/owning-resource-namespace": namespace,
    };
    for (const replicas of [1, 2])
      cluster.put("Deployment", {
        metadata: { name: "istiod-of-istioctl", namespace, labels },
        spec: { replicas },
      } as KubernetesObject);
    putOperator(cluster, "mesh", { profile: "minimal", components: { cni: { enabled: true } } });
    await until(() => healthOf(cluster, "mesh")["Cni"] === "HEALTHY", "changed");
    assert.equal(statusOf(cluster, "installed-state"), undefined, "not even if what istioctl installed changes");
    putOperator(cluster, "mesh", { profile: "minimal", components: { pilot: { enabled: false } } });
    putOperator(cluster, "installed-state", { profile: "minimal" }, { annotations: {} });
    await until(isHealthy(cluster, "installed-state"), "it is carried out without the annotation");
  });
});

test("an operator with a revision manages only that revision, and one without skips revisions that have their own operator", async () => {
  const cluster = new MemoryCluster();
  cluster.put("Deployment", {
    metadata: {
      name: "istio-operator-canary",
      namespace: "istio-operator",
      labels: { "operator.istio.io/managed-by": "serin" },
    },
  });
  putOperator(cluster, "stable", { profile: "minimal" });
  putOperator(cluster, "canary", { profile: "minimal", revision: "canary" });
  await whileOperated(cluster, async () => await until(isHealthy(cluster, "stable"), "installed"));
  assert.equal(statusOf(cluster, "canary"), undefined);
  const before = cluster.find("Deployment", "istiod", namespace)?.metadata.resourceVersion;
  await whileOperated(cluster, async () => await until(isHealthy(cluster, "canary"), "installed"), {
    revision: "canary",
  });
  assert.equal(cluster.find("Deployment", "istiod", namespace)?.metadata.resourceVersion, before);
});

test("the older of two objects of one revision owns it; the other reports that, and takes over afterwards", async () => {
  const cluster = new MemoryCluster();
  putOperator(cluster, "first", { profile: "minimal" }, { creationTimestamp: "2026-01-01T00:00:00Z" });
  putOperator(cluster, "second", { profile: "default" }, { creationTimestamp: "2026-01-02T00:00:00Z" });
  await whileOperated(cluster, async () => {
    await until(() => isHealthy(cluster, "first")() && statusOf(cluster, "second") !== undefined, "both answered");
    assert.equal(
      statusOf(cluster, "second")?.message,
      'IstioOperator istio-system/first already installs revision "default": set another spec.revision here, or delete one of the two',
    );
    assert.equal(cluster.find("Deployment", "istio-ingressgateway", namespace), undefined);
    putOperator(cluster, "first", { profile: "minimal" }, { deletionTimestamp: "2026-01-03T00:00:00Z" });
    await until(
      () => isHealthy(cluster, "second")() && cluster.find("IstioOperator", "first", namespace) === undefined,
      "the second follows",
    );
    assert.ok(cluster.find("Deployment", "istiod", namespace));
  });
});

test("ready components are reported while one is awaited, and one that stays unready has its reason", async () => {
  const cluster = new MemoryCluster();
  cluster.held.add("Deployment/istio-system/istio-ingressgateway");
  putOperator(cluster, "mesh", { profile: "default" });
  await whileOperated(
    cluster,
    async () => {
      await until(() => healthOf(cluster, "mesh")["Pilot"] === "HEALTHY", "the pilot is there");
      await until(() => statusOf(cluster, "mesh")?.status === "ERROR", "the wait is over");
      assert.deepEqual(healthOf(cluster, "mesh"), { Base: "HEALTHY", Pilot: "HEALTHY", IngressGateways: "ERROR" });
      assert.equal(
        statusOf(cluster, "mesh")?.componentStatus["IngressGateways"]?.error,
        "Deployment istio-system/istio-ingressgateway was not ready after 0.2 s: its controller has not seen it yet",
      );
      cluster.release("Deployment", namespace, "istio-ingressgateway");
      await until(isHealthy(cluster, "mesh"), "it goes on by itself");
    },
    { readyTimeoutMs: 200 },
  );
});

test("an object whose pods do not start holds up neither the installation nor the deletion of others", async () => {
  const cluster = new MemoryCluster();
  const gateways = (name: string): object => ({
    profile: "empty",
    components: { ingressGateways: [{ name, enabled: true }] },
  });
  cluster.held.add("Deployment/istio-system/istiod-slow").add("Deployment/istio-system/slow-gateway");
  putOperator(cluster, "mesh", { profile: "minimal" });
  putOperator(cluster, "slow", { profile: "minimal", revision: "slow" });
  putOperator(cluster, "slow-gateways", gateways("slow-gateway"));
  await whileOperated(cluster, async () => {
    await until(
      () =>
        cluster.names("Deployment").filter((name) => /slow/.test(name)).length === 2 && isHealthy(cluster, "mesh")(),
      "two wait, and one is installed",
    );
    putOperator(cluster, "gateways", gateways("istio-ingressgateway"));
    await until(isHealthy(cluster, "gateways"), "installed meanwhile, in the same revision");
    putOperator(cluster, "gateways", gateways("istio-ingressgateway"), { deletionTimestamp: "2026-01-01T00:00:00Z" });
    await until(() => cluster.find("IstioOperator", "gateways", namespace) === undefined, "deleted meanwhile");
    assert.equal(cluster.find("Deployment", "istio-ingressgateway", namespace), undefined);
    for (const name of ["slow", "slow-gateways"]) assert.equal(statusOf(cluster, name)?.status, "RECONCILING", name);
    cluster.release("Deployment", namespace, "istiod-slow");
    cluster.release("Deployment", namespace, "slow-gateway");
    await until(() => isHealthy(cluster, "slow")() && isHealthy(cluster, "slow-gateways")(), "they go on");
  });
});

test("a change or deletion of an object does not wait for pending components", async () => {
  const cluster = new MemoryCluster();
  cluster.held.add("Deployment/istio-system/istiod");
  putOperator(cluster, "mesh", { profile: "minimal", tag: "nonsense" });
  await whileOperated(cluster, async () => {
    await until(
      () =>
        cluster.find("Deployment", "istiod", namespace) !== undefined &&
        statusOf(cluster, "mesh")?.status === "RECONCILING",
      "it waits",
    );
    cluster.held.clear();
    putOperator(cluster, "mesh", { profile: "minimal", tag: "1.31.0" });
    await until(isHealthy(cluster, "mesh"), "installed");
    cluster.held.add("Deployment/istio-system/istio-ingressgateway");
    putOperator(cluster, "mesh", { profile: "default" });
    await until(
      () =>
        statusOf(cluster, "mesh")?.status === "RECONCILING" &&
        cluster.find("Deployment", "istio-ingressgateway", namespace) !== undefined,
      "it waits again",
    );
    putOperator(cluster, "mesh", { profile: "default" }, { deletionTimestamp: "2026-01-01T00:00:00Z" });
    await until(() => cluster.find("IstioOperator", "mesh", namespace) === undefined, "gone");
    // The rollout engine belongs to no revision, and stays with its webhooks.
    assert.deepEqual(cluster.names("MutatingWebhookConfiguration"), ["serin-rollout-author"]);
    assert.deepEqual(cluster.names("Deployment"), ["serin-system/serin-rollout"]);
  });
});

test("one of two replicas works; the other takes over and changes nothing that is correct", async () => {
  const cluster = new MemoryCluster();
  putOperator(cluster, "mesh", { profile: "minimal" });
  const replica = (identity: string) => {
    const ended = new AbortController();
    const following = Promise.withResolvers<string>();
    const election = new LeaderElection({
      client: cluster,
      namespace,
      name: "istio-operator-lock",
      identity,
      onFollow: following.resolve,
      clock,
      log: silentLogger,
    });
    return {
      ended,
      following: following.promise,
      running: election.run(ended.signal, async (leading) => await controllerOf(cluster).run(leading)),
    };
  };
  const first = replica("operator-a");
  await until(isHealthy(cluster, "mesh"), "installed");
  const second = replica("operator-b");
  assert.equal(await second.following, "operator-a");
  const deployment = () => cluster.find("Deployment", "istiod", namespace);
  const generation = deployment()?.metadata.generation;
  first.ended.abort();
  await first.running;
  putOperator(cluster, "mesh", { profile: "minimal", components: { cni: { enabled: true } } });
  await until(
    () => cluster.find("DaemonSet", "istio-cni-node", namespace) !== undefined && isHealthy(cluster, "mesh")(),
    "the second works",
  );
  assert.equal(deployment()?.metadata.generation, generation);
  second.ended.abort();
  await second.running;
});
