import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { ObjectAccess } from "../../act/object-access.ts";
import type { StillServes } from "../../act/undo-context.ts";
import { reference } from "../../plan/index.ts";
import { fakePod, fakeView } from "../checks/testing/fake-mesh.ts";
import type { ClusterView } from "../cluster-view.ts";
import { EventAges } from "../event-ages.ts";
import { undoSurroundings } from "./undo-surroundings.ts";
import { clockOf, pass } from "./testing/undo-pass.ts";

const tagOf = (revision: string, manager: string): object => ({
  metadata: {
    name: "istio-revision-tag-prod",
    labels: { "istio.io/rev": revision, "istio.io/tag": "prod" },
    managedFields: [
      { manager, time: "2026-11-20T12:00:00Z", fieldsV1: { "f:metadata": { "f:labels": { "f:istio.io/rev": {} } } } },
    ],
  },
});

/** A tag of revision `old`. Somebody has changed its webhook to call another Service. */
const tagAsking = (service: string): object => ({
  metadata: {
    name: "istio-revision-tag-prod",
    labels: { "istio.io/rev": "old", "istio.io/tag": "prod" },
    managedFields: [{ manager: "kubectl-edit", fieldsV1: { "f:webhooks": { 'k:{"name":"rev"}': {} } } }],
  },
  webhooks: [{ name: "rev", clientConfig: { service: { name: service, namespace: "istio-system" } } }],
});

/** Why undo does not yet delete the control plane of revision `new`. Only proxies of these pods use it. */
async function heldBy(injectors: readonly object[], pods: readonly Pod[] = []): Promise<string | undefined> {
  return (await stillServes(injectors, pods))?.detail;
}

async function stillServes(
  injectors: readonly object[],
  pods: readonly Pod[],
  connected: readonly string[] = [],
): Promise<StillServes | undefined> {
  const clock = { nowMs: () => 0, steadyMs: () => 0 } as Parameters<typeof undoSurroundings>[0]["clock"];
  const view = Object.assign(fakeView([...pods]), {
    injectors: { list: () => injectors },
    namespaces: { list: () => [], get: () => undefined },
    recently: async () =>
      await Promise.resolve(connected.map((name) => ({ id: `${name}.shop`, type: "router", namespace: "shop" }))),
  }) as unknown as ClusterView;
  const istiod = { metadata: { name: "istiod-new", labels: { app: "istiod", "istio.io/rev": "new" } } };
  const objects = { get: async () => await Promise.resolve(istiod) } as unknown as ObjectAccess;
  const ages = new EventAges(clock);
  const object = reference("apps/v1", "Deployment", "istiod-new", "istio-system");
  const surroundings = undoSurroundings({ client: {} as KubeClient, objects, view, clock, ages }, pass);
  return await surroundings.stillServes({ type: "created", step: "install-1", object });
}

test("undo keeps a control plane to which somebody has moved a tag, because the tag's pods would be refused", async () => {
  assert.equal(
    await heldBy([tagOf("new", "serin-cli")]),
    "serin-cli at 2026-11-20T12:00:00Z has set tag prod to revision new; set it to another one, or new pods would be refused: serin tag set prod --revision REVISION --overwrite",
  );
  assert.match((await heldBy([tagAsking("istiod-new")])) ?? "", /^kubectl-edit has set tag prod to revision new; /);
  assert.equal(await heldBy([tagAsking("istiod-old")]), undefined);
  assert.equal(await heldBy([tagOf("old", "serin-cli")]), undefined);
  assert.equal(await heldBy([tagOf("new", "serin-rollout")]), undefined, "the engine's own tag has its own undo");
});

test("undo waits for proxies of ending pods until their announced end, and says so", async () => {
  const [pilot, front, other] = ["istiod-new-7c9", "front-1", "front-2"].map((name) =>
    fakePod({
      name,
      namespace: name.startsWith("istiod") ? "istio-system" : "shop",
      labels: name.startsWith("istiod") ? { app: "istiod", "istio.io/rev": "new" } : {},
      status: { conditions: [{ type: "Ready", status: "True" }] },
    }),
  ) as [Pod, Pod, Pod];
  const ending = (pod: Pod, deletionTimestamp: string): Pod => ({
    ...pod,
    metadata: { ...pod.metadata, deletionTimestamp },
  });
  const of = async (...pods: readonly Pod[]): Promise<unknown> =>
    await stillServes([], [pilot, ...pods], ["front-1", "front-2"]);
  const [soon, later] = ["1970-01-01T00:10:00Z", "1970-01-01T01:00:00Z"];
  assert.deepEqual(await of(ending(front, soon), ending(other, later)), {
    detail: `front-1.shop, front-2.shop serve their last connections, until ${later} at the latest`,
    isEnding: true,
  });
  const connected = { detail: "front-1.shop, front-2.shop are still connected to it" };
  assert.deepEqual(await of(ending(front, soon), other), connected, "one of them stays");
  assert.deepEqual(await of(ending(front, soon)), connected, "one has no pod");
  const past = "1969-12-31T23:58:00Z";
  assert.deepEqual(await of(ending(front, past), ending(other, past)), connected, "they should have ended long ago");
});

test("undo names the tag, and not the waypoint that follows it and so never leaves", async () => {
  const labels = { "gateway.networking.k8s.io/gateway-name": "waypoint", "istio.io/rev": "new" };
  const waypoint = fakePod({ name: "waypoint-1", labels });
  assert.match((await heldBy([tagOf("new", "serin-cli")], [waypoint])) ?? "", /has set tag prod to revision new/);
  assert.equal(await heldBy([], [waypoint]), "shop/waypoint-1 still runs at revision new");
});

test("undo keeps a made route until the pods of the deleted canary copy leave, because the Service selects them too", async () => {
  const labels = { app: "web", "rollout.serin.dev/copy": "canary" };
  const copy = fakePod({ name: "web-canary-1", workload: "web-canary", labels });
  const other = fakePod({ name: "api-canary-1", workload: "api-canary", labels });
  const leaving = { ...copy, metadata: { ...copy.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } };
  const owner = { apiVersion: "apps/v1", kind: "Deployment", name: "web", uid: "1" };
  const route = { metadata: { name: "web-canary", namespace: "shop", ownerReferences: [owner] } };
  const heldWith = async (...pods: readonly Pod[]): Promise<string | undefined> => {
    const clock = clockOf({ ms: 0 });
    const objects = { get: async () => await Promise.resolve(route) } as unknown as ObjectAccess;
    const view = Object.assign(fakeView(pods), { injectors: { list: () => [] } }) as unknown as ClusterView;
    const surroundings = undoSurroundings(
      {
        client: {} as KubeClient,
        objects,
        view,
        clock,
        ages: new EventAges(clock),
      },
      pass,
    );
    const object = reference("networking.istio.io/v1", "VirtualService", "web-canary", "shop");
    return (await surroundings.stillServes({ type: "created", step: "routes", object }))?.detail;
  };
  assert.equal(await heldWith(copy), "shop/web-canary-1 has not left yet, and would get requests without the route");
  assert.equal(await heldWith(leaving, other), undefined);
});

/**
 * Why undo does not yet remove the canary of a Gateway without a revision label. The Gateway's own Deployment has this
 * revision.
 */
async function canaryHeldBy(
  runs: string,
  injectors: readonly object[] = [],
  isOfIstio = false,
): Promise<string | undefined> {
  const clock = { nowMs: () => 0, steadyMs: () => 0 } as Parameters<typeof undoSurroundings>[0]["clock"];
  const revision = { "istio.io/rev": runs };
  const name = { "gateway.networking.k8s.io/gateway-name": "front" };
  const stable = {
    metadata: {
      name: "front-istio",
      namespace: "shop",
      labels: { ...name, ...(isOfIstio ? {} : revision) },
      generation: 1,
    },
    spec: { replicas: 1, template: { metadata: isOfIstio ? { annotations: revision } : { labels: revision } } },
    status: { observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 },
  };
  const pilot = (revision: string): object => ({
    metadata: { name: "istiod", namespace: "istio-system", labels: { app: "istiod", "istio.io/rev": revision } },
  });
  const view = Object.assign(fakeView([]), {
    injectors: { list: () => injectors },
    namespaces: { list: () => [], get: () => undefined },
    deployments: { list: () => [stable, pilot("default"), pilot("new")] },
    controlPlaneNamespaces: () => new Set(["istio-system"]),
  }) as unknown as ClusterView;
  const objects = { get: async () => await Promise.resolve(stable) } as unknown as ObjectAccess;
  const surroundings = undoSurroundings(
    { client: {} as KubeClient, objects, view, clock, ages: new EventAges(clock) },
    pass,
  );
  const object = reference("gateway.networking.k8s.io/v1", "Gateway", "front", "shop");
  const pointer = "/metadata/annotations/rollout.serin.dev~1canary-revision";
  const annotations = { "rollout.serin.dev/canary-revision": "new" };
  const gateway = { metadata: { name: "front", namespace: "shop", annotations } };
  return await surroundings.heldBack({ type: "field", step: "s", object, pointer, written: "new" }, gateway, "new");
}

test("undo keeps the canary of a Gateway without a label until the default revision has its own pods back", async () => {
  assert.equal(await canaryHeldBy("new"), "front-istio is at new, and not yet at default");
  assert.equal(await canaryHeldBy("default"), undefined);
  const tag = { metadata: { name: "tag", labels: { "istio.io/tag": "default", "istio.io/rev": "new" } } };
  assert.equal(await canaryHeldBy("new", [tag]), undefined, "the tag `default` leads to it");
  assert.equal(await canaryHeldBy("new", [tag], true), undefined, "Istio writes the revision into the template alone");
  assert.equal(await canaryHeldBy("new", [], true), "front-istio is at new, and not yet at default");
});

test("undo waits for the pods of a restarted workload, unless its strategy replaces none", async () => {
  const clock = clockOf({ ms: 0 });
  const missing = async (
    kind: string,
    found: object | undefined,
    pods: readonly Pod[] = [],
    restartedAt?: string,
  ): Promise<unknown> => {
    const objects = { get: async () => await Promise.resolve(found) } as unknown as ObjectAccess;
    const sources = { client: {} as KubeClient, objects, view: fakeView(pods), clock, ages: new EventAges(clock) };
    const object = reference("apps/v1", kind, "web", "shop");
    return await undoSurroundings(sources, pass).notReplaced(object, restartedAt);
  };
  const workload = (spec: object, status: object = {}): object => ({
    metadata: { name: "web", namespace: "shop", generation: 2 },
    spec: { replicas: 3, ...spec },
    status: { observedGeneration: 2, replicas: 3, updatedReplicas: 1, availableReplicas: 3, ...status },
  });
  const waiting = { detail: ": 1 of 3 ready", followsName: true, left: 2 };
  assert.deepEqual(await missing("Deployment", workload({})), waiting);
  assert.equal(await missing("Deployment", workload({}, { updatedReplicas: 3 })), undefined);
  assert.equal(await missing("Deployment", workload({ paused: true })), undefined);
  assert.equal(await missing("StatefulSet", workload({ updateStrategy: { type: "OnDelete" } })), undefined);
  const partition = { updateStrategy: { rollingUpdate: { partition: 2 } } };
  assert.equal(await missing("StatefulSet", workload(partition)), undefined);
  assert.equal(await missing("Deployment", undefined), undefined);
  const ofSet = (hash: string): Pod => {
    const pod = fakePod({ name: "web-2", labels: { "controller-revision-hash": hash } });
    const owner = { apiVersion: "apps/v1", kind: "StatefulSet", name: "web", uid: "u", controller: true };
    return { ...pod, metadata: { ...pod.metadata, ownerReferences: [owner] } };
  };
  const detailOfSet = async (hash: string): Promise<unknown> =>
    await missing("StatefulSet", workload({}, { updateRevision: "web-1" }), [ofSet(hash)]);
  // A StatefulSet does not replace an unready pod, even after undo has restored its template.
  const byHand = ": 1 of 3 ready (if it stays: kubectl -n shop delete pod web-2)";
  assert.deepEqual(await detailOfSet("web-2"), { ...waiting, detail: byHand });
  assert.deepEqual(await detailOfSet("web-1"), waiting);
  const ofRollout = (name: string, creationTimestamp: string): Pod => {
    const pod = fakePod({ name, labels: { "rollouts-pod-template-hash": "1" } });
    const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-1", uid: "u", controller: true };
    const metadata = { ...pod.metadata, creationTimestamp, ownerReferences: [owner] };
    return { ...pod, metadata: { ...metadata, labels: { "rollouts-pod-template-hash": "1" } } };
  };
  const [older, newer] = [ofRollout("web-1-a", "2026-01-01T00:00:00Z"), ofRollout("web-1-b", "2026-01-01T00:05:00Z")];
  const at = "2026-01-01T00:05:00.200Z";
  assert.deepEqual(await missing("Rollout", workload({}), [older, newer], at), {
    detail: "shop/web-1-a is from before its restart",
    left: 1,
  });
  assert.equal(await missing("Rollout", workload({}), [newer], at), undefined);
});

test("undo does not wait for a pod of a restarted workload whose node is lost", async () => {
  const nowMs = Date.parse("2026-01-01T00:10:00Z");
  const clock = { nowMs: () => nowMs, steadyMs: () => 0 } as unknown as ReturnType<typeof clockOf>;
  const agents = {
    metadata: { name: "agent", namespace: "shop", generation: 2 },
    spec: {},
    status: {
      observedGeneration: 2,
      desiredNumberScheduled: 3,
      currentNumberScheduled: 3,
      updatedNumberScheduled: 2,
      numberAvailable: 2,
    },
  };
  const ending = (name: string, workload: string, deletionTimestamp: string): Pod => {
    const pod = fakePod({ name });
    const owner = { apiVersion: "apps/v1", kind: "DaemonSet", name: workload, uid: "d", controller: true };
    return { ...pod, metadata: { ...pod.metadata, deletionTimestamp, ownerReferences: [owner] } };
  };
  const missing = async (...pods: readonly Pod[]): Promise<unknown> => {
    const objects = { get: async () => await Promise.resolve(agents) } as unknown as ObjectAccess;
    const sources = { client: {} as KubeClient, objects, view: fakeView(pods), clock, ages: new EventAges(clock) };
    return await undoSurroundings(sources, pass).notReplaced(
      reference("apps/v1", "DaemonSet", "agent", "shop"),
      undefined,
    );
  };
  const [past, recent] = ["2026-01-01T00:05:00Z", "2026-01-01T00:09:50Z"];
  const waiting = { detail: ": 2 of 3 ready", followsName: true, left: 1 };
  assert.deepEqual(await missing(ending("agent-1", "agent", recent)), waiting);
  assert.deepEqual(await missing(ending("other-1", "other", past)), waiting, "a pod of another workload");
  assert.equal(await missing(ending("agent-1", "agent", past)), undefined);
});

test("an undo waits for the pods of a version that was scaled to 0, but not on the routes of a Deployment's own Canary if it has replicas", async () => {
  const clock = { nowMs: () => 0, steadyMs: () => 0 } as Parameters<typeof undoSurroundings>[0]["clock"];
  const status = { conditions: [{ type: "Ready", status: "True" }] } as never;
  const view = fakeView(
    [fakePod({ name: "v2", labels: { app: "v2" }, status })],
    [
      {
        metadata: { name: "v1", namespace: "shop" },
        spec: { template: { metadata: { labels: { app: "v1" } } } },
      } as never,
    ],
  );
  const endpoints = [{ targetRef: { kind: "Pod", name: "v2" } }];
  const client = {
    get: async (_kind: unknown, name: string) => await Promise.resolve({ spec: { selector: { app: name } } }),
    list: async () => await Promise.resolve({ items: [{ metadata: { name: "v2" }, endpoints }] }),
  } as unknown as KubeClient;
  const objects = { get: async () => await Promise.resolve(undefined) } as unknown as ObjectAccess;
  const ages = new EventAges(clock);
  const surroundings = undoSurroundings({ client, objects, view, clock, ages }, { ...pass, passOver: true });
  const object = reference("gateway.networking.k8s.io/v1", "HTTPRoute", "web", "shop");
  const to = (name: string) => [{ backendRefs: [{ name, port: 80 }] }];
  const change = { object, before: to("v2"), after: to("v1") };
  assert.match(
    (await surroundings.notServedYet({ metadata: { name: "web" } }, change)) ?? "",
    /^Service shop\/v1 has no ready pod/,
  );
  const ownerReferences = [{ apiVersion: "apps/v1", kind: "Deployment", name: "web", uid: "1" }];
  assert.equal(await surroundings.notServedYet({ metadata: { name: "web", ownerReferences } }, change), undefined);
});

test("an undo waits for a Deployment that was scaled to 0 before it takes requests from a copy that serves, but not for ever", async () => {
  const clock = { nowMs: () => 0, steadyMs: () => 0 } as Parameters<typeof undoSurroundings>[0]["clock"];
  const hash = "pod-template-hash";
  const copy = "rollout.serin.dev/copy";
  const selectors: Readonly<Record<string, object>> = {
    "web-stable": { app: "web", [hash]: "old" },
    "web-canary": { app: "web", [copy]: "canary" },
  };
  const client = {
    get: async (_kind: unknown, name: string) => await Promise.resolve({ spec: { selector: selectors[name] } }),
  } as unknown as KubeClient;
  const object = reference("gateway.networking.k8s.io/v1", "HTTPRoute", "web-canary", "shop");
  const to = (role: string) => [{ backendRefs: [{ name: `web-${role}`, port: 80 }] }];
  const ownerReferences = [{ apiVersion: "apps/v1", kind: "Deployment", name: "web", uid: "1" }];
  const route = { metadata: { name: "web-canary", namespace: "shop", ownerReferences } };
  const waits = async (replicas: number, ready: "True" | "False", passOver = false): Promise<string | undefined> => {
    const status = { conditions: [{ type: "Ready", status: ready }] } as never;
    const pod = fakePod({ name: "web-canary-1", labels: { app: "web", [copy]: "canary" }, status });
    const objects = { get: async () => await Promise.resolve({ spec: { replicas } }) } as unknown as ObjectAccess;
    const sources = { client, objects, view: fakeView([pod]), clock, ages: new EventAges(clock) };
    const change = { object, before: to("canary"), after: to("stable") };
    return await undoSurroundings(sources, { ...pass, passOver }).notServedYet(route, change);
  };
  assert.equal(
    await waits(0, "True"),
    "Deployment shop/web was scaled to 0 replicas, and would get all requests; scale it up, and the undo continues",
  );
  assert.equal(await waits(2, "True"), undefined);
  assert.equal(await waits(0, "False"), undefined, "no requests reach a pod now");
  assert.equal(await waits(0, "True", true), undefined, "it has waited long enough");
});
