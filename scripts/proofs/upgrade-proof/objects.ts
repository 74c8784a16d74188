// The objects of the test mesh: applications, their gateway, and the generators' Deployments.
import type { UntypedObject } from "../../../src/api/index.ts";
import type { LoadPlan } from "../../../samples/load-generator/load-plan.ts";
import { readObjects } from "../../demo/lab.ts";
import { ambientNamespaces, namespaces } from "./load-plans.ts";
import { podReportDirectory } from "./proof-lab.ts";

const gatewayName = "bookinfo-gateway";
const gatewayVersion = "gateway.networking.k8s.io/v1";
export const canaryBackend = "productpage-canary";
/** The target of a Canary that moves productpage by its HTTPRoute. */
export const productpageRoute = {
  httpRoute: {
    name: "bookinfo",
    rule: 0,
    stable: { name: "productpage", port: 9080 },
    canary: { name: canaryBackend, port: 9080 },
  },
} as const;
/** The image of productpage in the release that the tag names. */
export const releaseImage = "ghcr.io/serin-mesh/release-productpage";
/** Entries for the lab's image catalogue, in the form of manifests/images.yaml. */
export const imageCatalogue = `images:
- images: ["*/release-productpage"]
  release: tag
  entrypoint: [node, samples/bookinfo/src/productpage.ts]
`;

export function namespaceObjects(revision: string): UntypedObject[] {
  const namespace = (name: string, labels: Record<string, string>): UntypedObject => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels },
  });
  return [
    ...ambientNamespaces.map((name) => namespace(name, { "istio.io/dataplane-mode": "ambient" })),
    // One namespace follows the tag `default`, and one names its revision.
    namespace(namespaces.sidecarClients, { "istio-injection": "enabled" }),
    namespace(namespaces.sidecarServers, { "istio.io/rev": revision }),
  ];
}

/** Returns a budget that spares the last ready pod of app-b. The upgrade replaces sidecars by evicting their pods. */
export function disruptionBudget(): UntypedObject {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: "app-b", namespace: namespaces.sidecarServers },
    spec: { minAvailable: 1, selector: { matchLabels: { app: "app-b" } } },
  };
}

export function waypointObjects(): UntypedObject[] {
  return [
    {
      apiVersion: gatewayVersion,
      kind: "Gateway",
      metadata: { name: "waypoint", namespace: namespaces.shop, labels: { "istio.io/waypoint-for": "service" } },
      spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }] },
    },
  ];
}

/** Returns objects that route all requests for reviews to v2, whose stars are black. */
export function reviewsRoute(): UntypedObject[] {
  const subset = (name: string) => ({ name, labels: { version: name } });
  return [
    {
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: { name: "reviews" },
      spec: { host: "reviews", subsets: [subset("v2"), subset("v3")] },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: { name: "reviews" },
      spec: { hosts: ["reviews"], http: [{ route: [{ destination: { host: "reviews", subset: "v2" } }] }] },
    },
  ];
}

/** Returns the objects of bookinfo. With a waypoint, requests to reviews pass through it. */
export function shopObjects(withWaypoint: boolean): UntypedObject[] {
  return readObjects("samples/bookinfo/platform/kube/bookinfo.yaml").map((object) => {
    if (!withWaypoint || object.kind !== "Service" || object.metadata.name !== "reviews") return object;
    return {
      ...object,
      metadata: { ...object.metadata, labels: { ...object.metadata.labels, "istio.io/use-waypoint": "waypoint" } },
    };
  });
}

/** Returns a second productpage with its own Service. If no image is given, it has the same image as the first one. */
export function canaryObjects(
  image?: string,
  environment: readonly { readonly name: string; readonly value: string }[] = [],
): UntypedObject[] {
  const labels = { app: canaryBackend, version: "v2" };
  const container = {
    name: "productpage",
    image: image ?? "docker.io/istio/examples-bookinfo-productpage-v1:1.20.3",
    ports: [{ containerPort: 9080 }],
    env: environment,
    readinessProbe: { httpGet: { path: "/health", port: 9080 }, periodSeconds: 1 },
  };
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: canaryBackend },
      spec: { selector: { app: canaryBackend }, ports: [{ name: "http", port: 9080 }] },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: canaryBackend },
      spec: {
        replicas: 1,
        selector: { matchLabels: { app: canaryBackend } },
        template: {
          metadata: { labels },
          spec: { serviceAccountName: "bookinfo-productpage", containers: [container] },
        },
      },
    },
  ];
}

function route(
  name: string,
  namespace: string,
  paths: readonly string[],
  backend: { readonly name: string; readonly port: number },
): UntypedObject {
  const matches = paths.map((value) => ({ path: { type: "PathPrefix", value } }));
  return {
    apiVersion: gatewayVersion,
    kind: "HTTPRoute",
    metadata: { name, namespace },
    spec: {
      parentRefs: [{ name: gatewayName, namespace: namespaces.mesh }],
      rules: [{ matches, backendRefs: [backend] }],
    },
  };
}

/** Returns one gateway for all applications, and its routes. */
export function gatewayObjects(withSidecars: boolean): UntypedObject[] {
  return [
    {
      apiVersion: gatewayVersion,
      kind: "Gateway",
      metadata: { name: gatewayName, namespace: namespaces.mesh },
      spec: {
        gatewayClassName: "istio",
        listeners: [{ name: "http", port: 80, protocol: "HTTP", allowedRoutes: { namespaces: { from: "All" } } }],
      },
    },
    route("bookinfo", namespaces.shop, ["/productpage", "/static", "/login", "/logout", "/api/v1/products"], {
      name: "productpage",
      port: 9080,
    }),
    route("streams", namespaces.echoes, ["/socket", "/download"], { name: "streams", port: 8080 }),
    route("grpc-echo", namespaces.echoes, ["/serin.samples.Echo"], { name: "grpc-echo", port: 7070 }),
    withSidecars
      ? route("app-b", namespaces.sidecarServers, ["/echo"], { name: "app-b", port: 80 })
      : route("app-b", namespaces.echoes, ["/echo"], { name: "app-b", port: 80 }),
  ];
}

export const gatewayService = `${gatewayName}-istio`;

export function generatorObjects(plan: LoadPlan): UntypedObject[] {
  const name = "load-generator";
  const container = {
    name,
    image: "ghcr.io/serin-mesh/load-generator:1",
    args: [JSON.stringify(plan)],
    volumeMounts: [{ name: "reports", mountPath: podReportDirectory }],
  };
  const spec = {
    serviceAccountName: name,
    terminationGracePeriodSeconds: 10,
    containers: [container],
    volumes: [{ name: "reports", hostPath: { path: podReportDirectory, type: "DirectoryOrCreate" } }],
  };
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name } },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name },
      spec: {
        replicas: 1,
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        selector: { matchLabels: { app: name } },
        template: { metadata: { labels: { app: name } }, spec },
      },
    },
  ];
}
