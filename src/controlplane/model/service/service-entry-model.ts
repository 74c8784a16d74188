import { ownField } from "../../../base/index.ts";
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
 * The service of a host. `hosts` has its entries, sorted by age: the oldest decides, and later ones only add ports.
 * `visibility` is the mesh config's limit for its exportTo. Undefined if there is no entry.
 */
export function serviceEntryModel(
  hosts: readonly { readonly entry: ServiceEntryFacts; readonly host: string }[],
  mesh: MeshSettings,
  visibility: EntryVisibility = "PUBLIC",
): ServiceModel | undefined {
  const [oldest] = hosts;
  if (oldest === undefined) return undefined;
  const { entry, host } = oldest;
  const { spec, namespace } = entry;
  const entries = hosts.map((named) => named.entry);
  const wantedExport = spec.exportTo.length === 0 ? mesh.defaultServiceExportTo : spec.exportTo;
  const exportTo = narrowedExport(wantedExport, namespace, visibility);
  const allocated = hosts
    .map((named) => ownField(named.entry.allocated, named.host))
    .find((addresses) => addresses !== undefined);
  return {
    registry: "External",
    namespace,
    hostname: host.toLowerCase(),
    name: host,
    objectName: entry.name,
    createdAt: entry.createdAt,
    labels: entry.labels,
    ...portsOf(entries),
    resolution: resolutions[spec.resolution],
    ...(racesAddresses(entries) ? { racesAddresses: true } : {}),
    ...addressesOf(entries),
    ...(allocated === undefined ? {} : { automaticAddresses: allocated }),
    meshExternal: spec.location === "MESH_EXTERNAL",
    visibleIn: visibilityOf(exportTo, namespace),
    selector: spec.workloadSelector?.labels ?? {},
    subjectAltNames: spec.subjectAltNames,
    aliasOf: "",
    preference: entry.preference ?? "none",
  };
}

/** The ports of all entries. If several have the same number, that of the oldest entry counts. */
function portsOf([oldest, ...later]: readonly ServiceEntryFacts[]): Pick<ServiceModel, "ports" | "ownPorts"> {
  const own = oldest?.spec.ports.flatMap(portModel) ?? [];
  const taken = new Set(own.map(({ port }) => port));
  const added: ServicePortModel[] = [];
  for (const port of later.flatMap(({ spec }) => spec.ports.flatMap(portModel))) {
    if (taken.has(port.port)) continue;
    taken.add(port.port);
    added.push(port);
  }
  return added.length === 0 ? { ports: own } : { ports: [...own, ...added], ownPorts: own };
}

/**
 * The addresses of the service, which are those of its oldest entry. If entries have different ones, also the addresses
 * of each port: an entry's address leads only to that entry's ports. If the entry that defines a port has no address,
 * clients match the port by name.
 */
function addressesOf([oldest, ...later]: readonly ServiceEntryFacts[]): Pick<
  ServiceModel,
  "addresses" | "addressesOfPorts"
> {
  const addresses = distinctAddresses(oldest?.spec.addresses ?? []);
  if (later.every(({ spec }) => sameItems(distinctAddresses(spec.addresses), addresses))) return { addresses };
  const ofPorts = new Map<number, readonly string[]>();
  for (const { number } of oldest?.spec.ports.filter(isTcp) ?? []) ofPorts.set(number, addresses);
  for (const { spec } of later)
    for (const { number } of spec.ports.filter(isTcp)) {
      const known = ofPorts.get(number);
      if (known === undefined) ofPorts.set(number, distinctAddresses(spec.addresses));
      else if (known.length > 0) ofPorts.set(number, distinctAddresses([...known, ...spec.addresses]));
    }
  return { addresses, addressesOfPorts: new Map([...ofPorts].map(([port, own]) => [port, { addresses: own }])) };
}

function sameItems(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((item) => right.includes(item));
}

/** Whether the entries of a host ask proxies to connect to whichever address of its name answers first. */
export function racesAddresses(entries: readonly ServiceEntryFacts[]): boolean {
  return entries.every((entry) => wantsRace(entry) && isOneName(entry.spec));
}

export function wantsRace({ annotations }: Pick<ServiceEntryFacts, "annotations">): boolean {
  return annotations[istioAnnotations.connectStrategy]?.toUpperCase() === "RACE_FIRST_TCP_CONNECT";
}

/**
 * Whether the service is a single name to resolve. Proxies race only the addresses of one name; several endpoints share
 * the connections as usual.
 */
function isOneName({ endpoints, resolution, workloadSelector }: ServiceEntryFacts["spec"]): boolean {
  return resolution === "DNS" && endpoints.length <= 1 && workloadSelector === undefined;
}

/**
 * Whether proxies serve the port. They do not serve UDP, whose ports may have the same number as one that they serve.
 */
export function isTcp({ protocol }: IstioPort): boolean {
  return protocol !== "UDP";
}

function portModel(port: IstioPort): readonly ServicePortModel[] {
  if (!isTcp(port)) return [];
  return [
    { name: port.name ?? "", port: port.number, protocol: istioPortProtocol(port), target: port.targetPort ?? 0 },
  ];
}

const namedProtocols: ReadonlySet<string> = new Set(["HTTP", "HTTP2", "GRPC", "HTTPS", "TLS", "TCP"]);

/** The protocol in the port's field `protocol`. Unknown for protocols for which ztunnels have no name. */
export function declaredProtocol({ protocol = "" }: Pick<IstioPort, "protocol">): AppProtocol {
  return namedProtocols.has(protocol) ? (protocols[protocol] ?? "unknown") : "unknown";
}

/**
 * The protocol in the port's field `protocol`. As in upstream, the port's name does not matter, unlike for a Service's
 * port.
 */
export function istioPortProtocol({ protocol = "" }: Pick<IstioPort, "protocol">): AppProtocol {
  return protocols[protocol] ?? "unknown";
}

/**
 * Each address once, even if the entry repeats it in another spelling. Addresses become domains of virtual hosts. If a
 * domain occurred twice, all proxies to whose namespaces the entry is exported would reject the routes of the port.
 */
export function distinctAddresses(addresses: readonly string[]): readonly string[] {
  const plain = addresses.map((address) => withoutFullPrefix(address.toLowerCase()));
  return plain.length < 2 ? plain : [...new Set(plain)];
}

/** Shortens a range of one address, such as `10.0.0.1/32`, to the address. */
function withoutFullPrefix(address: string): string {
  const [base = "", length] = address.split("/");
  return length === (base.includes(":") ? "128" : "32") ? base : address;
}
