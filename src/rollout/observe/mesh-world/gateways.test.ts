import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition, KubernetesObject } from "../../../api/index.ts";
import type { Deployment, Pod } from "../../../api/kubernetes/index.ts";
import type { MeshUpgrade } from "../../../api/serin/index.ts";
import { transientError } from "../../../base/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { LeftCanaries } from "./left-canaries.ts";
import { observeClassicGateways, observeGateways } from "./gateways.ts";
import { PriorValues } from "./prior-values.ts";

const gatewayClass = (name: string, controllerName: string) => ({ metadata: { name }, spec: { controllerName } });
const gateway = (name: string, gatewayClassName: string) => ({
  metadata: { name, namespace: "edge" },
  spec: { gatewayClassName, listeners: [] },
});
const deployment = (name: string, gateway: string) => ({
  metadata: { name, namespace: "edge", labels: { "gateway.networking.k8s.io/gateway-name": gateway } },
  spec: { replicas: 2 },
});

const objects: Readonly<Record<string, readonly object[]>> = {
  GatewayClass: [
    gatewayClass("istio", "istio.io/gateway-controller"),
    gatewayClass("public", "istio.io/gateway-controller"),
    gatewayClass("other", "example.com/controller"),
    gatewayClass("istio-remote", "istio.io/unmanaged-gateway"),
  ],
  Gateway: [
    gateway("front", "istio"),
    gateway("own-class", "public"),
    gateway("between", "istio-east-west"),
    gateway("unserved", "istio-east-west"),
    gateway("waypoint", "istio-waypoint"),
    gateway("elsewhere", "istio-remote"),
    gateway("foreign", "other"),
  ],
};
const deployments = [
  deployment("front-istio", "front"),
  deployment("between", "between"),
  deployment("own-class-public", "own-class"),
  deployment("waypoint", "waypoint"),
];

async function observed(
  scope: { readonly gateways: boolean; readonly waypoints: boolean },
  refusals: Readonly<Record<string, Error>> = {},
  gateways = objects["Gateway"],
): Promise<string[]> {
  const upgrade = {
    spec: { from: { revision: "default" }, to: { revision: "next" }, scope },
  } as unknown as MeshUpgrade;
  const view = {
    namespaces: { get: () => undefined },
    deployments: { list: () => deployments as unknown as Deployment[] },
  } as unknown as ClusterView;
  const prior = new PriorValues([]);
  const found = await observeGateways({
    client: {
      list: async ({ kind }: KindDefinition) => {
        const refusal = refusals[kind];
        if (refusal !== undefined) throw refusal;
        return await Promise.resolve({
          items: ((kind === "Gateway" ? gateways : objects[kind]) ?? []) as KubernetesObject[],
          resourceVersion: "1",
        });
      },
    } as unknown as KubeClient,
    view,
    upgrade,
    prior,
    tags: new Map(),
    canaries: new LeftCanaries({ view, upgrade, prior }),
  });
  return found.map(
    ({ name, waypoint, moved, deployments: own }) =>
      `${moved === true ? "moved " : ""}${waypoint ? "waypoint" : "gateway"} ${name}: ${own.map((one) => one.name).join(", ")}`,
  );
}

test("an upgrade moves east-west gateways and gateways of a user's own class, but not gateways of other controllers", async () => {
  assert.deepEqual(await observed({ gateways: true, waypoints: true }), [
    "gateway between: between",
    "gateway front: front-istio",
    "gateway own-class: own-class-public",
    "waypoint waypoint: waypoint",
  ]);
});

test("a Gateway of the new revision counts if an earlier upgrade has left its canary", async () => {
  const moved = (name: string, gatewayClassName: string, annotations: object) => {
    const { metadata, spec } = gateway(name, gatewayClassName);
    return { metadata: { ...metadata, labels: { "istio.io/rev": "next" }, annotations }, spec };
  };
  const left = { "rollout.serin.dev/canary-revision": "next", "rollout.serin.dev/canary-replicas": "2" };
  const found = [
    moved("front", "istio", left),
    moved("waypoint", "istio-waypoint", left),
    moved("between", "istio-east-west", {}),
    moved("own-class", "public", { "rollout.serin.dev/canary-revision": "older" }),
  ];
  assert.deepEqual(await observed({ gateways: true, waypoints: true }, {}, found), [
    "moved gateway front: front-istio",
    "moved waypoint waypoint: waypoint",
  ]);
});

test("gateways that cannot be listed do not count as absent, but those of a cluster without the Gateway API do", async () => {
  const scope = { gateways: true, waypoints: true };
  for (const kind of ["Gateway", "GatewayClass"]) {
    const failing = { [kind]: transientError("unavailable", `${kind} cannot be listed`) };
    await assert.rejects(observed(scope, failing), { message: `${kind} cannot be listed` });
  }
  assert.deepEqual(await observed(scope, { Gateway: transientError("not-found", "no such kind") }), []);
});

test("the scope of an upgrade leaves out gateways or waypoints", async () => {
  assert.deepEqual(await observed({ gateways: false, waypoints: true }), ["waypoint waypoint: waypoint"]);
  assert.deepEqual(await observed({ gateways: true, waypoints: false }), [
    "gateway between: between",
    "gateway front: front-istio",
    "gateway own-class: own-class-public",
  ]);
});

test("pods of a canary count for the gateway that is moved if they are ready and not ending", async () => {
  const metadata = {
    name: "edge",
    namespace: "istio-system",
    labels: { "operator.istio.io/component": "IngressGateways" },
  };
  const body = { apiVersion: "apps/v1", kind: "Deployment", metadata, spec: { replicas: 2 } };
  const readyPods = async (pods: readonly object[]): Promise<number | undefined> => {
    const upgrade = {
      spec: { from: { revision: "default" }, to: { revision: "next" }, scope: { gateways: true } },
    } as unknown as MeshUpgrade;
    const view = {
      deployments: { list: () => [body], get: () => undefined },
      pods: { list: () => pods as Pod[] },
    } as unknown as ClusterView;
    const prior = new PriorValues([]);
    const [found] = await observeClassicGateways(
      {
        client: { list: async () => await Promise.resolve({ items: [] }) } as unknown as KubeClient,
        view,
        upgrade,
        prior,
        tags: new Map(),
        canaries: new LeftCanaries({ view, upgrade, prior }),
      },
      [[body]],
      [],
    );
    return found?.readyCanaryPods;
  };
  const pod = (gateway: string, status: string, metadata: object = {}): object => ({
    metadata: { namespace: "istio-system", labels: { "rollout.serin.dev/canary-of": gateway }, ...metadata },
    status: { conditions: [{ type: "Ready", status }] },
  });
  const ending = pod("edge", "True", { deletionTimestamp: "2026-01-01T00:00:00Z" });
  assert.equal(await readyPods([]), 0);
  assert.equal(
    await readyPods([pod("edge", "False"), pod("other", "True"), pod("edge", "True", { namespace: "a" })]),
    0,
  );
  assert.equal(await readyPods([pod("edge", "True"), ending, pod("edge", "True"), pod("edge", "False")]), 2);
});

test("an installed gateway of the new revision counts if an earlier upgrade has left its canary", async () => {
  const labels = { "operator.istio.io/component": "IngressGateways", "istio.io/rev": "next" };
  const body = (name: string, replicas: number, more: object = {}) => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "istio-system", labels: { ...labels, ...more } },
    spec: { replicas },
  });
  const own = body("edge", 2);
  const seen = async (...deployments: readonly object[]): Promise<unknown[]> => {
    const upgrade = {
      spec: { from: { revision: "default" }, to: { revision: "next" }, scope: { gateways: true } },
    } as unknown as MeshUpgrade;
    const view = {
      deployments: {
        list: () => deployments,
        get: (key: string) =>
          (deployments as Deployment[]).find(({ metadata }) => key.endsWith(`/${metadata.name ?? ""}`)),
      },
      pods: { list: () => [] },
    } as unknown as ClusterView;
    const prior = new PriorValues([]);
    const client = { list: async () => await Promise.resolve({ items: [] }) } as unknown as KubeClient;
    const canaries = new LeftCanaries({ view, upgrade, prior });
    const found = await observeClassicGateways(
      { client, view, upgrade, prior, tags: new Map(), canaries },
      [[own]],
      [],
    );
    return found.map(({ moved, deployment: { name, replicas, left } }) => [name, moved, replicas, left]);
  };
  assert.deepEqual(await seen(own), []);
  const left = body("edge-next", 1, { "rollout.serin.dev/canary-of": "edge" });
  const before = { "rollout.serin.dev/replicas-before-canary": "2" };
  const marked = { ...left, metadata: { ...left.metadata, annotations: before } };
  assert.deepEqual(await seen(own, marked), [["edge", true, 2, { stable: 2, canary: 1 }]]);
});
