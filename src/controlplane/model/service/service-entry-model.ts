import { istioAnnotations, type EntryVisibility, type IstioPort } from "../../../api/istio/index.ts";
import type { AppProtocol, MeshSettings, ServiceEntryFacts } from "../facts.ts";
import type { ServiceModel, ServicePortModel, ServiceResolution } from "./service.ts";
import { narrowedExport } from "./service-entry-visibility.ts";
import { visibilityOf } from "./service-visibility.ts";

const resolutions = {
  NONE: "passthrough",
  STATIC: "endpoints",
  DNS: "dns",
  DNS_ROUND_ROBIN: "dns-round-robin",
  DYNAMIC_DNS: "dynamic-dns",
} as const satisfies Readonly<Record<ServiceEntryFacts["spec"]["resolution"], ServiceResolution>>;

const protocols: Readonly<Record<string, AppProtocol>> = {
  HTTP: "http",
  HTTP2: "http2",
  GRPC: "grpc",
  "GRPC-WEB": "grpc",
  HTTPS: "tls",
  TLS: "tls",
  TCP: "tcp",
  MONGO: "tcp",
  MYSQL: "tcp",
  REDIS: "tcp",
};

/**
 * Creates a service for each host of a ServiceEntry. `visibility` is the limit that the mesh config sets for its
 * exportTo.
 */
export function serviceEntryModels(
  entry: ServiceEntryFacts,
  mesh: MeshSettings,
  visibility: EntryVisibility = "PUBLIC",
): readonly ServiceModel[] {
  const { spec, namespace } = entry;
  const wantedExport = spec.exportTo.length === 0 ? mesh.defaultServiceExportTo : spec.exportTo;
  const exportTo = narrowedExport(wantedExport, namespace, visibility);
  return spec.hosts.map((host) => ({
    registry: "External",
    namespace,
    hostname: host.toLowerCase(),
    name: host,
    objectName: entry.name,
    createdAt: entry.createdAt,
    labels: entry.labels,
    ports: spec.ports.flatMap(portModel),
    resolution: resolutions[spec.resolution],
    ...(wantsRace(entry) && isOneName(spec) ? { racesAddresses: true } : {}),
    addresses: distinctAddresses(spec.addresses),
    ...(entry.allocated?.[host] === undefined ? {} : { automaticAddresses: entry.allocated[host] }),
    meshExternal: spec.location === "MESH_EXTERNAL",
    visibleIn: visibilityOf(exportTo, namespace),
    selector: spec.workloadSelector?.labels ?? {},
    subjectAltNames: spec.subjectAltNames,
    aliasOf: "",
    preference: entry.preference ?? "none",
  }));
}

/** Whether the entry asks for connections to the address that answers first. */
export function wantsRace({ annotations }: Pick<ServiceEntryFacts, "annotations">): boolean {
  return annotations[istioAnnotations.connectStrategy]?.toUpperCase() === "RACE_FIRST_TCP_CONNECT";
}

/** Proxies race the addresses of one name only. Several endpoints share the connections as usual. */
function isOneName({ endpoints, resolution, workloadSelector }: ServiceEntryFacts["spec"]): boolean {
  return resolution === "DNS" && endpoints.length <= 1 && workloadSelector === undefined;
}

function portModel(port: IstioPort): readonly ServicePortModel[] {
  if (port.protocol === "UDP") return [];
  return [
    { name: port.name ?? "", port: port.number, protocol: istioPortProtocol(port), target: port.targetPort ?? 0 },
  ];
}

const namedProtocols: ReadonlySet<string> = new Set(["HTTP", "HTTP2", "GRPC", "HTTPS", "TLS", "TCP"]);

/** The protocol from its `protocol` alone. Unknown for protocols that ztunnels have no name for. */
export function declaredProtocol({ protocol = "" }: Pick<IstioPort, "protocol">): AppProtocol {
  return namedProtocols.has(protocol) ? (protocols[protocol] ?? "unknown") : "unknown";
}

/** The protocol from its `protocol`. Unlike for a Service's port, the port's name is ignored, as upstream does. */
export function istioPortProtocol({ protocol = "" }: Pick<IstioPort, "protocol">): AppProtocol {
  return protocols[protocol] ?? "unknown";
}

/**
 * Each address once, however it is written. They become domains of virtual hosts. If a domain is there twice, the
 * proxies of all namespaces to which the entry is exported reject the routes of the port.
 */
function distinctAddresses(addresses: readonly string[]): readonly string[] {
  const plain = addresses.map((address) => withoutFullPrefix(address.toLowerCase()));
  return plain.length < 2 ? plain : [...new Set(plain)];
}

/** Shortens `10.0.0.1/32` to the address. */
function withoutFullPrefix(address: string): string {
  const [base = "", length] = address.split("/");
  return length === (base.includes(":") ? "128" : "32") ? base : address;
}
