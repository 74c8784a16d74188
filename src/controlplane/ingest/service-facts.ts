import { ownField } from "../../base/index.ts";
import { serviceNameLabel } from "../../api/index.ts";
import { istioAnnotations, istioLabels, proxyLimits } from "../../api/istio/index.ts";
import type { EndpointSlice, Node, Service, ServicePort } from "../../api/kubernetes/index.ts";
import type {
  AppProtocol,
  EndpointFacts,
  NodeFacts,
  ServiceFacts,
  ServicePortFacts,
  SliceFacts,
  TrafficPreference,
} from "../model/facts.ts";

/** Marks copies of other clusters' endpoints that a controller of multi-cluster services has made. */
const importedSliceLabel = "multicluster.kubernetes.io/service-name";

const exportToAnnotation = "networking.istio.io/exportTo";

export function serviceFacts(service: Service): ServiceFacts | undefined {
  const { metadata, spec, status } = service;
  if (spec === undefined) return undefined;
  const clusterAddresses = (spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP])).filter(
    (address) => address !== "" && address !== "None",
  );
  const balancerAddresses = (status?.loadBalancer?.ingress ?? []).flatMap((ingress) => ingress.ip ?? []);
  return {
    namespace: metadata.namespace ?? "default",
    name: metadata.name ?? "",
    uid: metadata.uid ?? "",
    labels: metadata.labels ?? {},
    families: spec.ipFamilies ?? [],
    selector: spec.selector ?? {},
    ports: (spec.ports ?? []).slice(0, proxyLimits.servicePorts).map(portFacts),
    type: spec.type ?? "ClusterIP",
    externalName: spec.type === "ExternalName" ? (spec.externalName ?? "").toLowerCase() : "",
    createdAt: metadata.creationTimestamp ?? "",
    exportTo: (metadata.annotations?.[exportToAnnotation] ?? "")
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== ""),
    clusterAddresses,
    balancerAddresses,
    externalAddresses: externalAddressesOf(service),
    ...preferenceOf(service),
    publishNotReady: spec.publishNotReadyAddresses ?? false,
    waypointCanaryWeight: metadata.annotations?.[istioAnnotations.useWaypointCanaryWeight],
  };
}

function externalAddressesOf({ spec, status }: Service): readonly string[] {
  const balancer =
    spec?.type === "LoadBalancer"
      ? (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? "")
      : [];
  return [...balancer, ...(spec?.externalIPs ?? [])].filter((address) => address !== "");
}

function portFacts(port: ServicePort): ServicePortFacts {
  return {
    name: port.name ?? "",
    port: port.port,
    protocol: port.protocol ?? "TCP",
    target: port.targetPort ?? port.port,
    appProtocol: appProtocolOf(port),
    ...(unnamedProtocols.has(protocolText(port)) ? { unnamedProtocol: true } : {}),
  };
}

/** The ports of SMTP, DNS, MySQL and MongoDB, whose protocols do not work with protocol detection. */
const serverFirstPorts: ReadonlySet<number> = new Set([25, 53, 3306, 27_017]);

const protocols: Readonly<Record<string, AppProtocol>> = {
  http: "http",
  http2: "http2",
  "kubernetes.io/h2c": "http2",
  "kubernetes.io/ws": "http",
  "kubernetes.io/wss": "tls",
  grpc: "grpc",
  "grpc-web": "grpc",
  https: "tls",
  tls: "tls",
  tcp: "tcp",
  mongo: "tcp",
  mysql: "tcp",
  redis: "tcp",
};

/** Protocols for which ztunnels have no name. */
const unnamedProtocols: ReadonlySet<string> = new Set(["grpc-web", "mongo", "mysql", "redis"]);

/** The protocol that a port names: `appProtocol`, or else its name up to the first hyphen, except in `grpc-web`. */
function protocolText(port: ServicePort): string {
  const text = (port.appProtocol ?? port.name ?? "").toLowerCase();
  return text.startsWith("grpc-web") ? "grpc-web" : (text.split("-")[0] ?? "");
}

/**
 * The protocol of a port, as Istio selects it. A port that names none gets a protocol only if its number is well known.
 */
function appProtocolOf(port: ServicePort): AppProtocol {
  if (port.protocol === "UDP") return "unknown";
  const exact = port.appProtocol === undefined ? undefined : ownField(protocols, port.appProtocol.toLowerCase());
  if (exact !== undefined) return exact;
  return ownField(protocols, protocolText(port)) ?? (serverFirstPorts.has(port.port) ? "tcp" : "unknown");
}

/**
 * Which endpoints clients prefer: the Service's field says so, or else its annotation, or else its namespace's
 * annotation. An unknown value in a field has no effect.
 */
function preferenceOf({ metadata, spec }: Service): Pick<ServiceFacts, "preference" | "inheritsPreference"> {
  if (spec?.internalTrafficPolicy === "Local") return { preference: "only-node" };
  const preference =
    ownField(preferences, spec?.trafficDistribution?.toLowerCase() ?? "") ?? annotatedPreference(metadata.annotations);
  return preference === undefined ? { preference: "none", inheritsPreference: true } : { preference };
}

const preferences: Readonly<Record<string, TrafficPreference>> = {
  preferclose: "close",
  prefersamezone: "close",
  prefersamenode: "node",
};

/** The preference in the annotation. Undefined without the annotation. */
function annotatedPreference(annotations: Readonly<Record<string, string>> | undefined): TrafficPreference | undefined {
  const text = annotations?.[istioAnnotations.trafficDistribution]?.toLowerCase() ?? "";
  return text === "" ? undefined : (ownField(preferences, text) ?? "none");
}

export function statedPreference(annotations: Readonly<Record<string, string>> | undefined): {
  readonly preference?: TrafficPreference;
} {
  const preference = annotatedPreference(annotations);
  return preference === undefined ? {} : { preference };
}

/**
 * The facts of a slice. Undefined for a slice without a Service, for a slice of host names, and for a copy of another
 * cluster's slice, whose endpoints are read from that cluster.
 */
export function sliceFacts(slice: EndpointSlice): SliceFacts | undefined {
  const labels = slice.metadata.labels ?? {};
  const service = labels[serviceNameLabel];
  if (service === undefined || labels[importedSliceLabel] !== undefined || slice.addressType === "FQDN")
    return undefined;
  const namespace = slice.metadata.namespace ?? "default";
  const endpoints = slice.endpoints ?? [];
  const facts = (endpoint: SliceEndpoint): EndpointFacts => endpointFacts(endpoint, namespace);
  const draining = endpoints.filter(isDraining).map(facts);
  return {
    namespace,
    name: slice.metadata.name ?? "",
    service: `${namespace}/${service}`,
    ports: (slice.ports ?? []).flatMap((port) =>
      port.port === undefined || (port.protocol ?? "TCP") !== "TCP" ? [] : { name: port.name ?? "", port: port.port },
    ),
    // Terminating endpoints that are not ready receive no requests, even where unready endpoints do.
    endpoints: endpoints
      .filter(({ conditions }) => conditions?.ready !== false || conditions.terminating !== true)
      .map(facts),
    ...(draining.length === 0 ? {} : { draining }),
  };
}

type SliceEndpoint = NonNullable<EndpointSlice["endpoints"]>[number];

/** Whether the endpoint is terminating but still serves. */
function isDraining({ conditions }: SliceEndpoint): boolean {
  return conditions?.ready === false && conditions.terminating === true && conditions.serving !== false;
}

function endpointFacts(
  { addresses, conditions, nodeName, targetRef }: SliceEndpoint,
  namespace: string,
): EndpointFacts {
  return {
    addresses,
    ready: conditions?.ready ?? true,
    node: nodeName ?? "",
    pod: targetRef?.kind === "Pod" ? `${targetRef.namespace ?? namespace}/${targetRef.name ?? ""}` : "",
  };
}

export function nodeFacts(node: Node): NodeFacts {
  const labels = node.metadata.labels ?? {};
  return {
    name: node.metadata.name ?? "",
    region: labels["topology.kubernetes.io/region"] ?? "",
    zone: labels["topology.kubernetes.io/zone"] ?? "",
    subzone: labels[istioLabels.subzone] ?? "",
  };
}
