import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, systemClock, transientError } from "../../base/index.ts";
import type { KindDefinition } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { fakePod, fakeView } from "./checks/testing/fake-mesh.ts";
import { ClusterView } from "./cluster-view.ts";
import { PriorValues } from "./mesh-world/prior-values.ts";
import { ztunnelNodes } from "./mesh-world/shared-parts.ts";
import { isZtunnel, pilotPods } from "./pilot-answers.ts";
import { revisionFreeState, revisionServesState } from "./settle/revision-conditions.ts";

const ready = { conditions: [{ type: "Ready", status: "True" as const }] };
const labels = { app: "istiod", "istio.io/rev": "next" };
const pilot = fakePod({ name: "istiod-next-1", namespace: "istio-system", labels, status: ready });
const impostor = fakePod({ name: "mine", namespace: "tenant", labels, status: ready });

test("a pod that a tenant labels as istiod is no control plane: it delays no rollout and gets no token", () => {
  assert.deepEqual(
    pilotPods(fakeView([impostor, pilot])).map(({ name }) => name),
    ["istiod-next-1"],
  );
  assert.equal(revisionServesState(fakeView([impostor]), { revision: "next" }).state, "waiting");
  const needed = revisionServesState(fakeView([impostor]), { revision: "next", toDo: "restore it" });
  assert.deepEqual(needed.state === "waiting" ? needed.obstacle : undefined, { toDo: "restore it" });
});

test("a pod that a kubelet makes by itself is neither a control plane nor a ztunnel, whatever its namespace and labels", () => {
  const annotations = { "kubernetes.io/config.mirror": "0123" };
  const forged = fakePod({ name: "forged", namespace: "istio-system", labels, annotations, status: ready });
  assert.deepEqual(
    pilotPods(fakeView([forged, pilot])).map(({ name }) => name),
    ["istiod-next-1"],
  );
  const ztunnel = { name: "ztunnel-1", namespace: "istio-system", labels: { app: "ztunnel" } };
  const view = fakeView([]);
  assert.equal(isZtunnel(view, fakePod(ztunnel)), true);
  assert.equal(isZtunnel(view, fakePod({ ...ztunnel, annotations })), false);
});

test("a tenant's Deployment prevents no installation of a revision", () => {
  const view = fakeView([]);
  const deployments = { list: () => [{ metadata: { name: "mine", namespace: "tenant", labels } }] };
  assert.deepEqual(revisionFreeState(Object.assign(view, { deployments }) as ClusterView, "next"), { state: "met" });
});

test("an injector's namespace is a control plane namespace, whatever its name", () => {
  const view = new ClusterView({} as KubeClient, { log: silentLogger, clock: systemClock });
  const injector = (name: string, namespace: string) => ({
    metadata: { name },
    webhooks: [{ name, clientConfig: { service: { name, namespace } } }],
  });
  view.injectors.list = () => [injector("istiod-next", "mesh-control"), injector("cert-manager", "tenant")];
  assert.deepEqual([...view.controlPlaneNamespaces()], ["istio-system", "mesh-control"]);
});

function quiet(signal: AbortSignal): AsyncIterable<never> {
  return {
    [Symbol.asyncIterator]: () => ({
      next: async () =>
        await new Promise((resolve) =>
          signal.addEventListener("abort", () => resolve({ done: true, value: undefined })),
        ),
    }),
  };
}

test(
  "a user who may not list webhooks still sees the cluster, as for `serin check run`",
  { timeout: 10_000 },
  async (context) => {
    const client = {
      list: async ({ kind }: KindDefinition) => {
        if (kind === "MutatingWebhookConfiguration") throw transientError("forbidden", "you may not list them");
        return await Promise.resolve({ items: [], resourceVersion: "1" });
      },
      watch: (_kind: KindDefinition, { signal }: { readonly signal: AbortSignal }) => quiet(signal),
    } as unknown as KubeClient;
    const view = new ClusterView(client, { log: silentLogger, clock: systemClock });
    const stop = new AbortController();
    const running = view.run(stop.signal).catch(() => undefined);
    context.after(async () => {
      stop.abort();
      await running;
    });
    await view.synced;
    assert.deepEqual([...view.controlPlaneNamespaces()], ["istio-system"]);
  },
);

test("a pod that a tenant labels as ztunnel does not keep a node from moving", () => {
  const on = (namespace: string, nodeName: string): Pod => ({
    ...fakePod({ name: `ztunnel-${namespace}`, namespace, labels: { app: "ztunnel" } }),
    spec: { containers: [], nodeName },
  });
  const view = fakeView([on("istio-system", "node-a"), on("kube-system", "node-b"), on("tenant", "node-c")]);
  assert.deepEqual(ztunnelNodes(view, "default", new PriorValues([])), ["node-a", "node-b"]);
});

test("the engine holds all pods of the cluster without the writers of their fields, which are half of a pod", async () => {
  const ended = new AbortController();
  const client = {
    list: async ({ kind }: KindDefinition) => {
      const metadata = { name: "web", namespace: "shop", uid: "1", labels: { app: "web" }, managedFields: [{}] };
      return await Promise.resolve({ items: kind === "Pod" ? [{ metadata }] : [], resourceVersion: "1" });
    },
    watch: (_kind: KindDefinition, { signal }: { readonly signal: AbortSignal }) => quiet(signal),
  } as unknown as KubeClient;
  const view = new ClusterView(client, { log: silentLogger, clock: systemClock });
  const running = view.run(ended.signal);
  await view.synced;
  assert.deepEqual(view.pods.get("shop/web")?.metadata, {
    name: "web",
    namespace: "shop",
    uid: "1",
    labels: { app: "web" },
  });
  ended.abort();
  await running;
});
