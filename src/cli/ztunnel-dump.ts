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
  readonly nowMs: number;
}

const none = "None";

export function workloadSection({ workloads = [] }: ZtunnelDump, { namespace }: DumpFilter): DumpSection {
  const raw = inNamespace(workloads, namespace);
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

export function connectionSection({ workloadState = {} }: ZtunnelDump, { namespace }: DumpFilter): DumpSection {
  const pods = Object.entries(workloadState).filter(([, { info }]) => namespace === undefined || info?.namespace === namespace);
  const rows = pods.flatMap(([uid, { info, connections: { inbound = [], outbound = [] } = {} }]) => {
    const name = info === undefined ? uid : `${info.name}.${info.namespace}`;
    return [
      ...inbound.map((connection) => [name, "Inbound", connection.originalDst ?? connection.actualDst, connection.src, "", connection.protocol]),
      ...outbound.map((connection) => [name, "Outbound", connection.src, connection.actualDst, connection.originalDst ?? "", connection.protocol]),
    ];
  });
  return { header: ["WORKLOAD", "DIRECTION", "LOCAL", "REMOTE", "REMOTE TARGET", "PROTOCOL"], rows: sorted(rows), raw: Object.fromEntries(pods) };
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
