import assert from "node:assert/strict";
import { test } from "node:test";
import type { Canary } from "../../../api/serin/index.ts";
import { transientError } from "../../../base/index.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import { reference, type MovedRoute } from "../../plan/index.ts";
import { fakePod, sidecarPod } from "../checks/testing/fake-mesh.ts";
import type { CanarySources } from "./canary-sources.ts";
import { refuseOtherRoutes, refuseOtherWorkloads, requireHttp, requireReaders } from "./service-in-world.ts";

const route = {
  object: reference("gateway.networking.k8s.io/v1", "HTTPRoute", "web", "shop"),
  field: "spec.target.httpRoute",
} as MovedRoute;

/** Sources of one route and its Service, in an ambient namespace with these Gateways. */
function sources(
  parent: object,
  labels: Readonly<Record<string, string>>,
  { pods = [fakePod({ name: "a" })], gateways = [] as readonly string[] } = {},
): CanarySources {
  return {
    client: {
      get: async () => await Promise.resolve({ metadata: { name: "web", namespace: "shop", labels } }),
      list: async (_: unknown, { namespace }: { namespace: string }) =>
        await Promise.resolve({
          items: gateways.map((name) => ({
            metadata: { name, namespace },
            spec: { gatewayClassName: "istio-waypoint" },
          })),
        }),
    },
    objects: { get: async () => await Promise.resolve({ metadata: {}, spec: { parentRefs: [parent] } }) },
    view: {
      pods: { list: () => pods },
      recently: async (_: string, ask: () => Promise<unknown>) => await ask(),
      namespaces: { get: () => ({ metadata: { labels: { "istio.io/dataplane-mode": "ambient" } } }) },
    },
  } as unknown as CanarySources;
}

const service = { kind: "Service", group: "", name: "web" };

test("the error for a route of an ambient Service without a waypoint names it, because no proxy would apply its weights", async () => {
  await assert.rejects(requireReaders(sources(service, {}), route), {
    message:
      "spec.target.httpRoute: Service shop/web is in ambient and has no waypoint, so no proxy reads its requests and no weight has an effect; create one: serin waypoint apply -n shop --enroll-namespace",
  });
});

test("a waypoint, a client with a sidecar, or a gateway can read the route", async () => {
  await requireReaders(sources(service, { "istio.io/use-waypoint": "way" }, { gateways: ["way"] }), route);
  await requireReaders(sources(service, {}, { pods: [sidecarPod("client", "default", "client")] }), route);
  await requireReaders(sources({ name: "front" }, {}), route);
});

test("a waypoint that a label names and nobody has made, or somebody has deleted, applies no weights", async () => {
  const labels = { "istio.io/use-waypoint": "way", "istio.io/use-waypoint-namespace": "infra" };
  await assert.rejects(requireReaders(sources(service, labels, { gateways: ["other"] }), route), {
    message:
      "spec.target.httpRoute: Service shop/web is in ambient, and its waypoint infra/way does not exist, so no proxy reads its requests and no weight has an effect; create it: serin waypoint apply -n infra --name way",
  });
});

const canaryOf = (name: string): Canary =>
  ({
    kind: "Canary",
    metadata: { name, namespace: "shop" },
    spec: { target: { deployment: { name: "web", service: "web" } } },
  }) as unknown as Canary;

const madeRoute = {
  kind: "VirtualService",
  metadata: { name: "web-canary", namespace: "shop", labels: { "app.kubernetes.io/managed-by": "serin-rollout" } },
  spec: { hosts: ["web.shop.svc.cluster.local"] },
};

function withObjects(...objects: readonly object[]): CanarySources {
  const all = objects as readonly KubernetesObject[];
  const client = {
    list: async ({ kind }: { kind: string }) =>
      await Promise.resolve({ items: all.filter((object) => object.kind === kind) }),
  };
  return { client } as unknown as CanarySources;
}

test("a second Canary of a Service is refused with the name of the first, not with the advice to delete its route", async () => {
  const refusal = refuseOtherRoutes(
    withObjects(madeRoute, canaryOf("first"), canaryOf("second")),
    "spec.target.deployment.service",
    canaryOf("second"),
    "web",
  );
  await assert.rejects(refusal, {
    message:
      "spec.target.deployment.service: Canary shop/first already moves Service shop/web; keep one of the two Canaries: change shop/first and delete this one, or kubectl delete canary.rollout.serin.dev first -n shop",
  });
});

test("a route that a deleted Canary left behind is refused, with the advice to delete it", async () => {
  const refusal = refuseOtherRoutes(withObjects(madeRoute, canaryOf("second")), "f", canaryOf("second"), "web");
  await assert.rejects(refusal, {
    message:
      "f: VirtualService shop/web-canary already has routes of Service shop/web; a deleted Canary left it behind; delete VirtualService shop/web-canary",
  });
});

test("routes that cannot be listed do not count as absent, but kinds that the cluster does not serve do", async () => {
  const failing = (code: "unavailable" | "not-found"): CanarySources =>
    ({
      client: {
        list: async ({ kind }: { kind: string }) =>
          await Promise.reject<never>(transientError(code, `${kind} cannot be listed`)),
      },
    }) as unknown as CanarySources;
  await assert.rejects(refuseOtherRoutes(failing("unavailable"), "f", canaryOf("second"), "web"), {
    message: /cannot be listed$/,
  });
  await refuseOtherRoutes(failing("not-found"), "f", canaryOf("second"), "web");
});

test("a user's own route for the Service is refused, and the error names the target type that moves it", async () => {
  const route = { ...madeRoute, metadata: { name: "mine", namespace: "shop" } };
  const refusal = refuseOtherRoutes(withObjects(route), "f", canaryOf("second"), "web");
  await assert.rejects(refusal, /use target\.virtualService with name mine; or delete it/);
});

test("a port without HTTP is refused, because no step would move its connections", () => {
  const found = {
    name: "db",
    namespace: "shop",
    ports: [
      { name: "tcp-db", port: 9000 },
      { name: "tls", port: 9001, appProtocol: "https" },
    ],
  };
  assert.throws(() => requireHttp("spec.target.deployment.service", found), {
    message:
      "spec.target.deployment.service: Service shop/db has no HTTP on port 9000 (tcp), 9001 (https), and the steps move only HTTP requests; if the port has HTTP, set its appProtocol to http; to move connections, run the new version as another Deployment, and use target.virtualService with protocol: tcp",
  });
  const both = { ...found, ports: [...found.ports, { name: "grpc", port: 80 }, { port: 81 }] };
  requireHttp("f", both);
  requireHttp("f", both, { port: 81 });
  assert.throws(() => requireHttp("spec.target.deployment.port", both, { port: 9000 }), /no HTTP on port 9000 \(tcp\)/);
});

test("a gateway routes the requests of a TLS port, because it begins TLS to the pods itself", () => {
  const found = {
    name: "web",
    namespace: "shop",
    ports: [
      { name: "https", port: 443 },
      { name: "tls-admin", port: 444 },
      { name: "tcp-db", port: 9000 },
    ],
  };
  const gateways = ["istio-ingress/front"];
  requireHttp("f", found, { gateways });
  for (const port of [443, 444]) {
    requireHttp("f", found, { port, gateways });
    assert.throws(() => requireHttp("f", found, { port, gateways: [] }), /no HTTP on port 44[34] /);
  }
  assert.throws(() => requireHttp("f", found, { port: 9000, gateways }), /no HTTP on port 9000 \(tcp\)/);
});

test("a Service whose pods are of several workloads is refused, because the others would get no requests", () => {
  const selecting = { name: "web", namespace: "shop", selector: { app: "web" } };
  const workload = (name: string, { namespace = "shop", app = "web", labels = {}, replicas = 1 } = {}): object => ({
    metadata: { name, namespace, labels },
    spec: { replicas, template: { metadata: { labels: { app } } } },
  });
  const check = (deployments: readonly object[], statefulSets: readonly object[] = []): void => {
    const view = {
      deployments: { list: () => deployments },
      statefulSets: { list: () => statefulSets },
      daemonSets: { list: () => [] },
    };
    refuseOtherWorkloads({ view } as unknown as CanarySources, selecting, "web");
  };
  check([
    workload("web"),
    workload("web-canary", { labels: { "rollout.serin.dev/copy": "canary" } }),
    workload("else", { namespace: "else" }),
    workload("db", { app: "db" }),
    workload("former", { replicas: 0 }),
  ]);
  assert.throws(() => check([workload("web"), workload("web-v2")]), {
    message:
      "spec.target.deployment.service: Service shop/web also selects the pods of Deployment web-v2, which would get no requests, because this Canary's route sends all to Deployment web; let the selector of Service web leave them out, or move requests between the two by target.virtualService or target.services",
  });
  assert.throws(() => check([workload("web")], [workload("web")]), /the pods of StatefulSet web/);
});
