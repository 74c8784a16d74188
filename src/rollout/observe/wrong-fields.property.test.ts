import assert from "node:assert/strict";
import { test } from "node:test";
import { SerinError } from "../../base/index.ts";
import { wrongFields } from "../../base/testing/index.ts";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import type { Deployment } from "../../api/kubernetes/index.ts";
import { parseCanary, parseMeshUpgrade } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { ObjectAccess } from "../act/object-access.ts";
import { planCanary } from "../plan/index.ts";
import { observeCanaryWorld } from "./canary-world.ts";
import { fakeView, sidecarPod } from "./checks/testing/fake-mesh.ts";
import type { ClusterView } from "./cluster-view.ts";
import { observeGateways } from "./mesh-world/gateways.ts";
import { LeftCanaries } from "./mesh-world/left-canaries.ts";
import { PriorValues } from "./mesh-world/prior-values.ts";

type Stored = KubernetesObject & { readonly kind: string };

const stored = (kind: string, name: string, spec: unknown, labels?: Record<string, string>): Stored =>
  ({ kind, metadata: { name, namespace: "shop", ...(labels === undefined ? {} : { labels }) }, spec }) as Stored;
const template = { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image: "web:1" }] } };
const selector = { matchLabels: { app: "web" } };
const service = (name: string): Stored =>
  stored("Service", name, { ports: [{ name: "http", port: 80 }], selector: { app: "web" } });
const web = stored("Deployment", "web", { replicas: 1, selector, template }) as unknown as Deployment;
/** Objects whose fields every API server checks. */
const checked: readonly Stored[] = [
  service("web"),
  service("next"),
  ...["web", "next"].map((name) => ({ ...service(name), metadata: { name, namespace: "next" } })),
  web as Stored,
];

const route = [
  { destination: { host: "web", subset: "v1", port: { number: 80 } }, weight: 100 },
  { destination: { host: "next", subset: "v2" }, weight: 0 },
];
const toCart = [{ destination: { host: "cart", subset: "v1" } }];
const match = [{ uri: { prefix: "/a" }, headers: { user: { exact: "b" } }, sourceLabels: { app: "c" } }];
const made = { "app.kubernetes.io/managed-by": "serin-rollout" };
const backendRefs = [
  { name: "web", port: 80, weight: 1 },
  { name: "next", port: 80, weight: 0 },
];
const rule = {
  name: "all",
  matches: [{ path: { type: "PathPrefix", value: "/" }, headers: [{ name: "a", value: "b" }] }],
  filters: [{ type: "RequestMirror", requestMirror: { backendRef: { name: "cart", port: 80 } } }],
  backendRefs,
};
const front = stored("Gateway", "front", {
  gatewayClassName: "istio-mesh",
  listeners: [{ name: "http", port: 80, protocol: "HTTP" }],
});
const destinationRule = stored("DestinationRule", "web", {
  host: "web",
  subsets: [
    { name: "v1", labels: { version: "v1" } },
    { name: "v2", labels: { version: "v2" } },
  ],
});
const userRule = stored("DestinationRule", "web", { host: "web", subsets: [{ name: "old", labels: { app: "web" } }] });
const otherCanary = stored("Canary", "other", { target: { deployment: { name: "web", service: "web" } } });
const grant = stored("ReferenceGrant", "grant", {
  from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "shop" }],
  to: [{ group: "", kind: "Service", name: "next" }],
});

function clientOf(objects: readonly Stored[]): KubeClient {
  const client: Pick<KubeClient, "get" | "list"> = {
    get: async <Value extends KubernetesObject>({ kind }: KindDefinition<Value>, name: string, namespace?: string) =>
      await Promise.resolve(
        objects.find(
          ({ kind: its, metadata }) => its === kind && metadata.name === name && metadata.namespace === namespace,
        ) as unknown as Value | undefined,
      ),
    list: async <Value extends KubernetesObject>({ kind }: KindDefinition<Value>) =>
      await Promise.resolve({
        items: objects.filter(({ kind: its }) => its === kind) as unknown as readonly Value[],
        resourceVersion: "1",
      }),
  };
  return client as KubeClient;
}

function viewOf(mode: string | undefined): ClusterView {
  const labels = mode === undefined ? {} : { "istio.io/dataplane-mode": mode };
  const pods = mode === undefined ? [sidecarPod("client", "default", "client")] : [];
  return Object.assign(fakeView(pods, [web]), { namespaces: { get: () => ({ metadata: { labels } }) } });
}

interface Scene {
  readonly target: object;
  readonly steps?: readonly object[];
  readonly objects: readonly Stored[];
  readonly mode?: string;
  /** Matches the error that refuses the Canary. If absent, the Canary must be planned. */
  readonly refused?: RegExp;
}

/** Observes the Canary's world and plans its steps. Throws if that fails with an error that is not the user's. */
async function plan({ target, steps = [{ weight: 10 }], objects, mode }: Scene): Promise<number | string> {
  const { value, errors } = parseCanary({ metadata: { name: "c", namespace: "shop" }, spec: { target, steps } });
  assert.ok(value, JSON.stringify(errors));
  const client = clientOf([...objects, ...checked]);
  try {
    const sources = { client, objects: new ObjectAccess(client), view: viewOf(mode) };
    return planCanary(value, await observeCanaryWorld(sources, value, [])).length;
  } catch (error) {
    if (error instanceof SerinError && error.kind === "user") return error.message;
    throw error;
  }
}

const byHeader = { match: { headers: [{ name: "x", value: "y" }], paths: [{ value: "/" }] } };
const scenes: Readonly<Record<string, Scene>> = {
  "a Deployment beside other routes": {
    target: { deployment: { name: "web", service: "web" } },
    objects: [
      stored("VirtualService", "other", { hosts: ["cart"], http: [{ route: toCart }], tcp: [{ route: toCart }] }),
      stored("HTTPRoute", "other", {
        parentRefs: [{ kind: "Service", name: "cart" }],
        rules: [{ ...rule, backendRefs: [{ name: "cart", port: 80 }] }],
      }),
      stored("Canary", "cart", { target: { deployment: { name: "cart", service: "cart" } } }),
      userRule,
    ],
  },
  "a Deployment whose route another Canary has": {
    target: { deployment: { name: "web", service: "web" } },
    objects: [stored("VirtualService", "made", { hosts: ["web"] }, made), otherCanary],
    refused: /Canary shop\/other already moves Service shop\/web/,
  },
  "a Deployment in ambient": {
    target: { deployment: { name: "web", service: "web" } },
    objects: [front],
    mode: "ambient",
  },
  "an HTTPRoute": {
    target: { httpRoute: { name: "web", stable: { name: "web", port: 80 }, canary: { name: "next", port: 80 } } },
    steps: [byHeader, { weight: 10, mirror: {} }],
    objects: [stored("HTTPRoute", "web", { parentRefs: [{ kind: "Service", name: "web" }], rules: [rule] }), front],
    mode: "ambient",
  },
  "an HTTPRoute to another namespace": {
    target: {
      httpRoute: {
        name: "web",
        stable: { name: "web", port: 80 },
        canary: { name: "next", namespace: "next", port: 80 },
      },
    },
    objects: [stored("HTTPRoute", "web", { rules: [rule] }), grant],
  },
  "a VirtualService": {
    target: { virtualService: { name: "web", stable: { host: "web" }, canary: { host: "next" } } },
    steps: [byHeader, { weight: 10, mirror: {} }],
    objects: [
      stored("VirtualService", "web", {
        hosts: ["web"],
        gateways: ["mesh"],
        http: [{ match, route: [{ destination: { host: "web" } }], mirrors: [{ destination: { host: "cart" } }] }],
      }),
    ],
  },
  "a VirtualService with subsets": {
    target: {
      virtualService: {
        name: "web",
        stable: { host: "web", subset: "v1" },
        canary: { host: "web", subset: "v2" },
        protocol: "tcp",
      },
    },
    objects: [
      stored("VirtualService", "web", { hosts: ["web"], tcp: [{ match: [{ port: 80 }], route }] }),
      destinationRule,
    ],
  },
  "two namespaces": {
    target: {
      namespaces: {
        stable: "shop",
        canary: "next",
        routes: [
          { kind: "HTTPRoute", name: "web" },
          { kind: "VirtualService", name: "web" },
        ],
      },
    },
    objects: [
      stored("HTTPRoute", "web", { rules: [rule] }),
      stored("VirtualService", "web", { hosts: ["web"], http: [{ route: [{ destination: { host: "web" } }] }] }),
    ],
  },
};

for (const [title, scene] of Object.entries(scenes))
  test(`a Canary of ${title} is planned, or names the user's fault, whatever fields of a wrong type stored objects have`, async () => {
    const planned = await plan(scene);
    if (scene.refused === undefined) assert.equal(typeof planned, "number");
    else assert.match(String(planned), scene.refused);
    for (const [index, object] of scene.objects.entries())
      for (const change of wrongFields({ spec: Reflect.get(object, "spec") as unknown })) {
        const objects = scene.objects.with(index, { ...object, ...(change.object as object) });
        await assert.doesNotReject(plan({ ...scene, objects }), `${object.kind}: ${change.title}`);
      }
  });

test("the fault of the route that a Canary moves is named with its field", async () => {
  const scene = scenes["a VirtualService"];
  assert.ok(scene);
  const broken = stored("VirtualService", "web", { http: [{ route: [{ destination: { host: 3 } }] }] });
  assert.equal(
    await plan({ ...scene, objects: [broken] }),
    "spec.target.virtualService: VirtualService shop/web has a field of a wrong type: spec.http[0].route[0].destination.host must be a string, got 3; correct it",
  );
});

test("the Gateways of an upgrade are observed, whatever fields of a wrong type they and their classes have", async () => {
  const { value: upgrade } = parseMeshUpgrade({
    metadata: { name: "u" },
    spec: { from: { revision: "old" }, to: { revision: "new" } },
  });
  assert.ok(upgrade);
  const [prior, view] = [new PriorValues([]), viewOf(undefined)];
  const own = stored("GatewayClass", "own", { controllerName: "istio.io/gateway-controller" });
  const objects = [stored("Gateway", "front", { gatewayClassName: "own" }, { "istio.io/rev": "old" }), own];
  const observe = async (given: readonly Stored[]): Promise<number> =>
    (
      await observeGateways({
        client: clientOf(given),
        view,
        upgrade,
        prior,
        tags: new Map(),
        canaries: new LeftCanaries({ view, upgrade, prior }),
      })
    ).length;
  assert.equal(await observe(objects), 1);
  for (const [index, object] of objects.entries())
    for (const { title, object: changed } of wrongFields({ spec: Reflect.get(object, "spec") as unknown }))
      await assert.doesNotReject(observe(objects.with(index, { ...object, ...(changed as object) })), title);
});
