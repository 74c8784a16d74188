import { defineKind } from "../../kind.ts";
import type { KubernetesObject } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import { areRepeated, type Reader } from "../../reader.ts";
import {
  checkEach,
  checkPortName,
  checkProtocol,
  checkSelectorLabels,
  readExportTo,
  subnetFault,
  unixPrefix,
} from "../checks.ts";
import { domainFault, hasPartialWildcard, wildcardDomainFault } from "../domain-names.ts";
import { openObject, refuseDryRun, refuseUnknown, type OpenedObject } from "../fields.ts";
import { readIstioPort, type IstioPort } from "./istio-port.ts";
import { istioLabels } from "../labels.ts";
import { networkingGroup, networkingVersions } from "../networking-group.ts";
import { copiedLength, proxyLimits, maxCopiedLength } from "../proxy-limits.ts";
import { isHttpProtocol, isTcpProtocol, isTlsProtocol } from "../protocols.ts";
import { readWorkloadEntry, type WorkloadEntrySpec } from "./workload-entry.ts";

export interface ServiceEntry extends KubernetesObject {
  spec: ServiceEntrySpec;
  status?: ServiceEntryStatus;
}

export interface ServiceEntryStatus {
  readonly addresses?: readonly { readonly value: string; readonly host?: string }[];
}

export interface ServiceEntrySpec {
  readonly hosts: readonly string[];
  /** The addresses or CIDRs that clients use. If it is empty, clients use the assigned addresses, or the host name. */
  readonly addresses: readonly string[];
  readonly ports: readonly IstioPort[];
  readonly location: "MESH_EXTERNAL" | "MESH_INTERNAL";
  readonly resolution: ServiceEntryResolution;
  readonly endpoints: readonly WorkloadEntrySpec[];
  /** Selects pods and WorkloadEntries of the entry's namespace as endpoints, instead of `endpoints`. */
  readonly workloadSelector?: { readonly labels: Readonly<Record<string, string>> } | undefined;
  /**
   * The namespaces that see the entry. `.` means its own namespace, `*` all, and `~` none. An empty list means the
   * mesh's default.
   */
  readonly exportTo: readonly string[];
  readonly subjectAltNames: readonly string[];
}

/**
 * How proxies find the addresses. With NONE, they use the client's destination address. With DNS, they use all
 * addresses of the endpoints' names, and with DNS_ROUND_ROBIN the first of these. With DYNAMIC_DNS, they use the
 * address of the host that each request names.
 */
export type ServiceEntryResolution = (typeof resolutions)[number];
const resolutions = ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] as const;

function parseServiceEntry(raw: unknown): Parsed<ServiceEntry> {
  const opened = openObject(raw);
  const { object, spec: reader, namespace } = opened;
  refuseDryRun(opened);
  const ports = reader.objects("ports").map(readPort);
  const resolution = reader.oneOf("resolution", resolutions) ?? "NONE";
  const servicePorts = ports.flatMap((port) => port.name ?? []);
  const allowNames = resolution !== "STATIC";
  const selector = reader.object("workloadSelector");
  const spec: ServiceEntrySpec = {
    hosts: reader.strings("hosts"),
    addresses: reader.strings("addresses"),
    ports,
    location: reader.oneOf("location", ["MESH_EXTERNAL", "MESH_INTERNAL"]) ?? "MESH_EXTERNAL",
    resolution,
    endpoints: reader.objects("endpoints").map((entry) => readWorkloadEntry(entry, { allowNames, servicePorts })),
    workloadSelector: selector === undefined ? undefined : { labels: selector.stringMap("labels") },
    exportTo: readExportTo(reader, { namespace, allowNobody: true }),
    subjectAltNames: reader.strings("subjectAltNames"),
  };
  checkHosts(reader, spec);
  checkAddresses(reader, spec);
  checkPorts(reader, spec);
  checkSockets(reader, spec);
  checkEndpoints(reader, spec);
  checkProducts(reader, spec);
  if (spec.resolution === "DYNAMIC_DNS") checkDynamicDns(opened, spec);
  refuseUnknown(selector);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as ServiceEntry), spec }));
}

/**
 * The hosts that need an assigned address. Empty if the user sets addresses or opts out, or if the resolution is NONE.
 * A wildcard needs an address only with DYNAMIC_DNS.
 */
export function automaticallyAddressedHosts({
  metadata,
  spec,
}: {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
  readonly spec: ServiceEntrySpec;
}): readonly string[] {
  const isWanted = metadata.labels?.[istioLabels.enableAutoallocateIp]?.toLowerCase() !== "false";
  if (!isWanted || spec.resolution === "NONE" || spec.addresses.length > 0) return [];
  return [...new Set(spec.hosts)].filter((host) => !host.startsWith("*") || spec.resolution === "DYNAMIC_DNS");
}

function readPort(reader: Reader): IstioPort {
  const port = readIstioPort(reader);
  if (port.name === undefined) reader.error("is required", "name");
  else checkPortName(reader, "name", port.name);
  checkProtocol(reader, "protocol", port.protocol);
  return port;
}

function checkHosts(reader: Reader, { hosts, resolution, endpoints }: ServiceEntrySpec): void {
  if (hosts.length === 0) reader.error("must have at least one host", "hosts");
  checkEach(reader, "hosts", hosts, (host) =>
    host === "*" ? 'must not be "*"; name a domain' : wildcardDomainFault(host),
  );
  for (const [index, host] of hosts.entries()) {
    const field = `hosts[${index}]`;
    if (hasPartialWildcard(host) && resolution !== "DYNAMIC_DNS")
      reader.warn(`has a wildcard inside a label, got "${host}"; not all proxies can match it`, field);
    const isResolved = (resolution === "DNS" || resolution === "DNS_ROUND_ROBIN") && endpoints.length === 0;
    if (isResolved && host.startsWith("*"))
      reader.error(`must be a full name, because ${resolution} looks it up, got "${host}"; or add endpoints`, field);
    else if (isResolved && wildcardDomainFault(host) === undefined && domainFault(host) !== undefined)
      reader.error(domainFault(host) ?? "", field);
  }
}

function checkAddresses(reader: Reader, { addresses, resolution, hosts, ports }: ServiceEntrySpec): void {
  checkEach(reader, "addresses", addresses, (address) => {
    if (address.includes("/") && resolution !== "NONE" && resolution !== "STATIC")
      return `must be an IP address, not a CIDR, when the resolution is ${resolution}, got "${address}"`;
    return subnetFault(address);
  });
  if (
    resolution === "NONE" &&
    addresses.length === 0 &&
    ports.some((port) => (port.protocol ?? "TCP").toUpperCase() === "TCP")
  ) {
    reader.warn(
      "is empty, and a port is TCP: proxies cannot tell its traffic from other traffic to that port",
      "addresses",
    );
  }
  const isByDns = resolution === "DNS" || resolution === "DNS_ROUND_ROBIN";
  if (isByDns && addresses.length > 0 && hosts.length > 1 && ports.some((port) => isTcpProtocol(port.protocol))) {
    reader.warn("has more than one host with addresses and a TCP port: proxies cannot tell them apart", "hosts");
  }
}

function checkSockets(reader: Reader, { endpoints, resolution }: ServiceEntrySpec): void {
  if (resolution === "STATIC" || resolution === "NONE") return;
  for (const [index, { address }] of endpoints.entries())
    if (address?.startsWith(unixPrefix) === true)
      reader.error(
        `must be a name or an IP address when the resolution is ${resolution}, got "${address}"`,
        `endpoints[${index}].address`,
      );
}

function checkPorts(reader: Reader, { ports, hosts, resolution }: ServiceEntrySpec): void {
  const byName = areRepeated(ports.map(({ name }) => name));
  const byNumber = areRepeated(ports.map(({ number }) => number));
  for (const [index, port] of ports.entries()) {
    if (byName[index] === true)
      reader.error(`must be unique, "${port.name ?? ""}" appears twice; rename one`, `ports[${index}].name`);
    if (byNumber[index] === true)
      reader.error(`must be unique, ${port.number} appears twice; remove one`, `ports[${index}].number`);
    const namesHost = isHttpProtocol(port.protocol) || isTlsProtocol(port.protocol);
    if (hosts.length > 1 && resolution !== "NONE" && !namesHost) {
      reader.error(
        "must be HTTP or TLS when there is more than one host, because other protocols do not name the host; create a ServiceEntry for each host",
        `ports[${index}].protocol`,
      );
    }
  }
}

/**
 * The maximum number of hosts times ports, and of addresses times ports. Each proxy gets a cluster for each host and
 * port. An object of a few kilobytes could otherwise make gigabytes of clusters, and block the control plane meanwhile.
 */
const maxClusters = 4_096;
/** The maximum number of hosts times addresses. A client that looks up a host gets all addresses. */
const maxHostAddresses = 65_536;
/** The maximum number of hosts times namespaces that see them. */
const maxHostNamespaces = 262_144;

function checkProducts(reader: Reader, { hosts, addresses, ports, endpoints, exportTo }: ServiceEntrySpec): void {
  for (const [field, list] of Object.entries({ hosts, addresses })) {
    const total = list.length * ports.length;
    if (total > maxClusters)
      reader.error(
        `${list.length} ${field} with ${ports.length} ports each are ${total} clusters or listeners of every proxy, and at most ${maxClusters} are allowed; use a wildcard or a range, or fewer ports`,
        field,
      );
  }
  const total = hosts.length * ports.length * endpoints.length;
  if (total > proxyLimits.clusterEndpoints)
    reader.error(
      `${endpoints.length} endpoints of ${hosts.length} hosts with ${ports.length} ports each are ${total} endpoints of every proxy, and at most ${proxyLimits.clusterEndpoints} are allowed`,
      "endpoints",
    );
  for (const [field, { length }, most] of [
    ["addresses", addresses, maxHostAddresses],
    ["exportTo", exportTo, maxHostNamespaces],
  ] as const)
    if (hosts.length * length > most)
      reader.error(
        `${hosts.length} hosts times ${length} of these are ${hosts.length * length}, and at most ${most} are allowed; write fewer, or several ServiceEntries`,
        field,
      );
  const copied = hosts.length * ports.length * copiedLength(reader.raw, "hosts", "addresses", "ports", "exportTo");
  if (copied > maxCopiedLength)
    reader.error(
      `the endpoints and subjectAltNames, once for each host and port, are ${copied} characters of every proxy, and at most ${maxCopiedLength} are allowed; write fewer of them, or several ServiceEntries`,
    );
}

function checkEndpoints(reader: Reader, { endpoints, resolution, workloadSelector }: ServiceEntrySpec): void {
  if (workloadSelector !== undefined) {
    checkSelectorLabels(reader, "workloadSelector.labels", workloadSelector.labels);
    if (reader.has("endpoints")) reader.error("cannot be combined with workloadSelector", "endpoints");
    if (resolution === "NONE")
      reader.warnNoEffect("has no effect when the resolution is NONE; use STATIC", "workloadSelector");
  }
  if (resolution === "NONE" && endpoints.length > 0)
    reader.error("must be empty when the resolution is NONE; use STATIC, or DNS for names", "endpoints");
  for (const [index, endpoint] of endpoints.entries()) {
    if (endpoint.address === undefined && resolution !== "STATIC")
      reader.error(
        `is required when the resolution is ${resolution}; with STATIC, a network is enough`,
        `endpoints[${index}].address`,
      );
  }
  if (resolution === "DNS_ROUND_ROBIN" && endpoints.length > 1)
    reader.error(
      `must have at most one entry when the resolution is DNS_ROUND_ROBIN, got ${endpoints.length}`,
      "endpoints",
    );
}

/**
 * Checks an entry with DYNAMIC_DNS. Proxies take the host from each request, so the entry needs wildcards, and
 * protocols whose requests name a host.
 */
function checkDynamicDns({ spec: reader, labels }: OpenedObject, spec: ServiceEntrySpec): void {
  checkEach(reader, "hosts", spec.hosts, (host) =>
    host.startsWith("*") ? undefined : `must have a wildcard when the resolution is DYNAMIC_DNS, got "${host}"`,
  );
  for (const field of ["addresses", "endpoints"] as const)
    if (spec[field].length > 0) reader.error("must be empty when the resolution is DYNAMIC_DNS", field);
  for (const [index, { protocol }] of spec.ports.entries()) {
    if (!["HTTP", "TLS", "GRPC", "HTTP2"].includes(protocol ?? ""))
      reader.error(
        `must be HTTP, HTTP2, GRPC or TLS when the resolution is DYNAMIC_DNS, got "${protocol ?? ""}"`,
        `ports[${index}].protocol`,
      );
  }
  const waypoint = labels[istioLabels.useWaypoint] ?? "";
  if (spec.location === "MESH_INTERNAL" && waypoint !== "" && waypoint.toLowerCase() !== "none") {
    reader.error("must be MESH_EXTERNAL when the resolution is DYNAMIC_DNS and a waypoint is used", "location");
  }
}

export const serviceEntryKind = defineKind<ServiceEntry>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "ServiceEntry",
  plural: "serviceentries",
  namespaced: true,
  parse: parseServiceEntry,
});
