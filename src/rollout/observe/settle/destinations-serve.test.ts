import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../../kube/index.ts";
import { reference } from "../../plan/index.ts";
import { fakePod, fakeView } from "../checks/testing/fake-mesh.ts";
import { notServedYet } from "./destinations-serve.ts";

const route = reference("gateway.networking.k8s.io/v1", "HTTPRoute", "web", "shop");
const divided = (v1: number, v2: number): unknown => [
  { backendRefs: [{ name: "v1", port: 80, weight: v1 }, ...(v2 === 0 ? [] : [{ name: "v2", port: 80, weight: v2 }])] },
];

interface Pods {
  /** How many pods of the versions are ready, and how many of these are endpoints. */
  readonly v1: number;
  readonly v2: number;
  readonly endpoints?: number;
  readonly isMade?: boolean;
  readonly hasSelector?: boolean;
}

async function detailOf(
  { v1, v2, endpoints = v1, isMade = true, hasSelector = true }: Pods,
  before: unknown,
  after: unknown,
): Promise<string | undefined> {
  const status = { conditions: [{ type: "Ready", status: "True" }] } as never;
  const podsOf = (app: string, count: number) =>
    Array.from({ length: count }, (_, index) => fakePod({ name: `${app}-${index}`, labels: { app }, status }));
  const deployments = ["v1", "v2"].map((app) => ({
    metadata: { name: app, namespace: "shop" },
    spec: { replicas: app === "v1" ? v1 : v2, template: { metadata: { labels: { app } } } },
  }));
  const view = fakeView([...podsOf("v1", v1), ...podsOf("v2", v2)], isMade ? (deployments as never) : []);
  const client = {
    get: async (_kind: unknown, name: string) =>
      await Promise.resolve({ metadata: { name }, spec: hasSelector ? { selector: { app: name } } : {} }),
    list: async (_kind: unknown, { labelSelector }: { readonly labelSelector: string }) => {
      const [, app = ""] = labelSelector.split("=");
      const ready = podsOf(app, app === "v1" ? endpoints : v2);
      return await Promise.resolve({
        items: [
          {
            metadata: { name: app },
            endpoints: ready.map(({ metadata }) => ({ targetRef: { kind: "Pod", name: metadata.name } })),
          },
        ],
      });
    },
  } as unknown as KubeClient;
  return await notServedYet(
    { client, view, ageMs: () => 60_000, concerned: [], withoutProxies: true },
    { object: route, before, after },
  );
}

test("requests return to a version that somebody has scaled to 0 only when it has ready endpoints", async () => {
  const detail =
    "Service shop/v1 has no ready pod, and would get more requests; let pods of it become ready: kubectl -n shop get pods -l app=v1";
  assert.equal(await detailOf({ v1: 0, v2: 2 }, divided(0, 100), divided(50, 50)), detail);
  assert.equal(await detailOf({ v1: 0, v2: 2 }, divided(0, 100), divided(1, 0)), detail);
  assert.equal(
    await detailOf({ v1: 1, v2: 2, endpoints: 0 }, divided(0, 100), divided(50, 50)),
    "Service shop/v1: 0 of 1 pods are endpoints",
  );
});

test("a version that only loses requests may be broken: its successor repairs it", async () => {
  assert.equal(await detailOf({ v1: 0, v2: 2 }, divided(1, 0), divided(90, 10)), undefined);
  assert.equal(await detailOf({ v1: 0, v2: 2 }, divided(90, 10), divided(0, 100)), undefined);
});

test("nothing waits if no requests reach a pod now, or if nobody knows the pods", async () => {
  const [from, to] = [divided(0, 100), divided(1, 0)];
  assert.equal(await detailOf({ v1: 0, v2: 0 }, from, to), undefined);
  assert.equal(await detailOf({ v1: 0, v2: 2, isMade: false }, from, to), undefined);
  assert.equal(await detailOf({ v1: 0, v2: 2, hasSelector: false }, from, to), undefined);
});

const subsetRoute = reference("networking.istio.io/v1", "VirtualService", "web", "shop");
const split = (v1: number, v2: number): unknown => [
  {
    route: [
      { destination: { host: "web", subset: "v1" }, weight: v1 },
      { destination: { host: "web", subset: "v2" }, weight: v2 },
    ],
  },
];

async function detailOfSubsets(
  rules: readonly { readonly namespace?: string; readonly host: string; readonly subsets: readonly string[] }[],
  before: unknown,
  after: unknown,
): Promise<string | undefined> {
  const status = { conditions: [{ type: "Ready", status: "True" }] } as never;
  const pods = ["v1", "v2"].map((version) => fakePod({ name: version, labels: { app: "web", version }, status }));
  const deployments = pods.map(({ metadata }) => ({
    metadata: { name: metadata.name, namespace: "shop" },
    spec: { replicas: 1, template: { metadata: { labels: metadata.labels } } },
  }));
  const listed = rules.map(({ namespace = "shop", host, subsets }, index) => ({
    metadata: { name: `rule-${index}`, namespace },
    spec: { host, subsets: subsets.map((name) => ({ name, labels: { version: name } })) },
  }));
  const slices = pods.map(({ metadata: { name } }) => ({
    metadata: { name },
    endpoints: [{ targetRef: { kind: "Pod", name } }],
  }));
  const client = {
    get: async () => await Promise.resolve({ metadata: { name: "web" }, spec: { selector: { app: "web" } } }),
    list: async ({ kind }: { readonly kind: string }) =>
      await Promise.resolve({ items: kind === "DestinationRule" ? listed : slices }),
  } as unknown as KubeClient;
  return await notServedYet(
    { client, view: fakeView(pods, deployments as never), ageMs: () => 60_000, concerned: [], withoutProxies: true },
    { object: subsetRoute, before, after },
  );
}

test("a subset that somebody has removed gets no more requests", async () => {
  const both = { host: "web", subsets: ["v1", "v2"] };
  assert.equal(await detailOfSubsets([both], split(90, 10), split(50, 50)), undefined);
  assert.equal(
    await detailOfSubsets([{ ...both, subsets: ["v1"] }], split(90, 10), split(50, 50)),
    "no DestinationRule for web.shop.svc.cluster.local has the subset v2, which would get more requests; add the subset to spec.subsets of the host's DestinationRule",
  );
});

test("a subset exists if a rule of any namespace has it, also one for a wildcard", async () => {
  const both = ["v1", "v2"];
  for (const rule of [
    { namespace: "istio-system", host: "web.shop.svc.cluster.local", subsets: both },
    { host: "*.shop.svc.cluster.local", subsets: both },
    { namespace: "istio-system", host: "*.local", subsets: both },
  ])
    assert.equal(await detailOfSubsets([rule], split(90, 10), split(50, 50)), undefined, rule.host);
});

test("requests leave a subset that does not exist, also for another one that does not", async () => {
  assert.equal(await detailOfSubsets([{ host: "web", subsets: ["v1"] }], split(0, 100), split(100, 0)), undefined);
  assert.equal(await detailOfSubsets([], split(90, 10), split(50, 50)), undefined);
});
