/** What the command line reads of a ztunnel's `/config_dump`; a field may be absent in another release's answer. */
export interface ZtunnelDump {
  readonly workloads?: readonly DumpedWorkload[];
  readonly services?: readonly DumpedService[];
  readonly policies?: readonly DumpedPolicy[];
  readonly certificates?: readonly DumpedIdentity[];
  readonly workloadState?: Readonly<Record<string, DumpedPod>>;
}

export interface DumpedGateway {
  /** `network/address`, or a service. */
  readonly destination: string | { readonly namespace: string; readonly hostname: string };
}

export interface DumpedWorkload {
  readonly name: string;
  readonly namespace: string;
  readonly workloadIps?: readonly string[];
  readonly hostname?: string;
  readonly node?: string;
  readonly protocol: string;
  readonly waypoint?: DumpedGateway;
}

export interface DumpedService {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  /** `network/address` */
  readonly vips: readonly string[];
  readonly waypoint?: DumpedGateway;
  readonly endpoints?: Readonly<Record<string, { readonly status?: string }>>;
}

export interface DumpedPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly action: string;
  readonly scope: string;
}

export interface DumpedCertificate {
  readonly serialNumber: string;
  readonly validFrom: string;
  readonly expirationTime: string;
}

export interface DumpedIdentity {
  readonly identity: string;
  readonly state: string;
  readonly certChain?: readonly DumpedCertificate[];
  readonly rootCerts?: readonly DumpedCertificate[];
}

export interface DumpedConnection {
  readonly src: string;
  readonly originalDst?: string;
  readonly actualDst: string;
  readonly protocol: string;
}

export interface DumpedPod {
  readonly state: string;
  readonly connections?: { readonly inbound?: readonly DumpedConnection[]; readonly outbound?: readonly DumpedConnection[] };
  readonly info?: { readonly name: string; readonly namespace: string };
}

/** One part of a dump as a table; also the part itself, for `-o json`. */
export interface DumpSection {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly raw: unknown;
}

export interface DumpFilter {
  /** Only what is in this namespace. */
  readonly namespace?: string;
  /** Workloads at this address, and on this node. */
  readonly address?: string;
  readonly node?: string;
  readonly direction?: "inbound" | "outbound";
  /** Addresses of connections as they are, instead of the names that the ztunnel knows them by. */
  readonly raw?: boolean;
  readonly nowMs: number;
}

const none = "None";

export function workloadSection({ workloads = [] }: ZtunnelDump, { namespace, address, node }: DumpFilter): DumpSection {
  const raw = inNamespace(workloads, namespace).filter((workload) => (address === undefined || workload.workloadIps?.includes(address) === true) && (node === undefined || workload.node === node));
  const rows = raw.map((workload) => [
    workload.namespace,
    workload.name,
    workload.workloadIps?.[0] ?? orNone(workload.hostname),
    orNone(workload.node),
    gatewayName(workload.waypoint),
    workload.protocol,
  ]);
  return { header: ["NAMESPACE", "POD NAME", "ADDRESS", "NODE", "WAYPOINT", "PROTOCOL"], rows: sorted(rows), raw };
}

export function serviceSection({ services = [] }: ZtunnelDump, { namespace }: DumpFilter): DumpSection {
  const raw = inNamespace(services, namespace);
  const rows = raw.map((service) => [service.namespace, service.name, service.vips.map(addressOf).join(","), gatewayName(service.waypoint), endpointCount(service)]);
  return { header: ["NAMESPACE", "SERVICE NAME", "SERVICE VIP", "WAYPOINT", "ENDPOINTS"], rows: sorted(rows), raw };
}

export function policySection({ policies = [] }: ZtunnelDump, { namespace }: DumpFilter): DumpSection {
  const raw = inNamespace(policies, namespace);
  const rows = raw.map((policy) => [policy.namespace, policy.name, policy.action, policy.scope]);
  return { header: ["NAMESPACE", "POLICY NAME", "ACTION", "SCOPE"], rows: sorted(rows), raw };
}

export function certificateSection({ certificates = [] }: ZtunnelDump, { namespace, nowMs }: DumpFilter): DumpSection {
  const raw = certificates.filter(({ identity }) => namespace === undefined || identity.includes(`/ns/${namespace}/`));
  const rows = raw.flatMap(({ identity, state, certChain = [], rootCerts = [] }) => {
    if (certChain.length === 0) return [[identity, "Unavailable", state, "false", "", "", ""]];
    return [...certChain.map((certificate, index) => ({ certificate, type: index === 0 ? "Leaf" : "Intermediate" })), ...rootCerts.map((certificate) => ({ certificate, type: "Root" }))].map(
      ({ certificate, type }) => [identity, type, state, String(isValid(certificate, nowMs)), certificate.serialNumber, certificate.expirationTime, certificate.validFrom],
    );
  });
  return { header: ["CERTIFICATE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"], rows, raw };
}

export function connectionSection(dump: ZtunnelDump, { namespace, direction, raw = false }: DumpFilter): DumpSection {
  const pods = Object.entries(dump.workloadState ?? {}).filter(([, { info }]) => namespace === undefined || info?.namespace === namespace);
  const names = raw ? new Map<string, string>() : namesOf(dump);
  const shown = (address: string): string => named(address, names);
  const rows = pods.flatMap(([uid, { info, connections: { inbound = [], outbound = [] } = {} }]) => {
    const name = info === undefined ? uid : `${info.name}.${info.namespace}`;
    return [
      ...(direction === "outbound" ? [] : inbound).map((connection) => [name, "Inbound", shown(connection.actualDst), shown(connection.src), connection.originalDst ?? "", connection.protocol]),
      ...(direction === "inbound" ? [] : outbound).map((connection) => [name, "Outbound", shown(connection.src), shown(connection.actualDst), shown(connection.originalDst ?? ""), connection.protocol]),
    ];
  });
  return { header: ["WORKLOAD", "DIRECTION", "LOCAL", "REMOTE", "REMOTE TARGET", "PROTOCOL"], rows: sorted(rows), raw: Object.fromEntries(pods) };
}

/** By address; a service's before a workload's. */
function namesOf({ services = [], workloads = [] }: ZtunnelDump): ReadonlyMap<string, string> {
  return new Map([
    ...workloads.flatMap(({ workloadIps = [], name, namespace }) => workloadIps.map((address) => [address, `${name}.${namespace}`] as const)),
    ...services.flatMap(({ vips, hostname }) => vips.map((vip) => [addressOf(vip), hostname] as const)),
  ]);
}

/** `address:port` with the address's name, where it has one. */
function named(address: string, names: ReadonlyMap<string, string>): string {
  const colon = address.lastIndexOf(":");
  const name = names.get(address.slice(0, colon).replace(/^\[|\]$/g, ""));
  return name === undefined ? address : `${name}${address.slice(colon)}`;
}

function inNamespace<Value extends { readonly namespace: string }>(values: readonly Value[], namespace: string | undefined): readonly Value[] {
  return namespace === undefined ? values : values.filter((value) => value.namespace === namespace);
}

function sorted(rows: readonly string[][]): string[][] {
  return rows.toSorted((a, b) => (a.join("\0") < b.join("\0") ? -1 : 1));
}

function endpointCount({ endpoints = {} }: DumpedService): string {
  const all = Object.values(endpoints);
  return `${all.filter(({ status }) => status !== "Unhealthy").length}/${all.length}`;
}

/** A service's first label; an address as it is. */
function gatewayName(gateway: DumpedGateway | undefined): string {
  if (gateway === undefined) return none;
  const { destination } = gateway;
  return typeof destination === "string" ? addressOf(destination) : (destination.hostname.split(".")[0] ?? none);
}

/** Of `network/address`, the address. */
function addressOf(vip: string): string {
  return vip.slice(vip.indexOf("/") + 1);
}

function orNone(text: string | undefined): string {
  return text === undefined || text === "" ? none : text;
}

function isValid({ validFrom, expirationTime }: DumpedCertificate, nowMs: number): boolean {
  return Date.parse(validFrom) <= nowMs && nowMs < Date.parse(expirationTime);
}
