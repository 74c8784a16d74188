import { isTree, userError } from "../base/index.ts";
import { withFieldTypes } from "../base/field-types/index.ts";
import { ztunnelFields } from "./dump-fields.ts";

/** The fields that are read from a ztunnel's `/config_dump`. Other releases may lack some. */
export interface ZtunnelDump {
  readonly workloads?: Dumped<DumpedWorkload>;
  readonly services?: Dumped<DumpedService>;
  readonly policies?: readonly DumpedPolicy[];
  readonly certificates?: readonly DumpedIdentity[];
  readonly workloadState?: Readonly<Record<string, DumpedPod>>;
}

/** Objects in a list, or by keys as older releases send them. */
type Dumped<Value> = readonly Value[] | Readonly<Record<string, Value>>;

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
  readonly uid?: string;
  readonly status?: string;
}

export interface DumpedService {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  /** `network/address` */
  readonly vips: readonly string[];
  readonly waypoint?: DumpedGateway;
  readonly endpoints?: Readonly<Record<string, { readonly status?: string; readonly workloadUid?: string }>>;
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
  readonly connections?: {
    readonly inbound?: readonly DumpedConnection[];
    readonly outbound?: readonly DumpedConnection[];
  };
  readonly info?: { readonly name: string; readonly namespace: string };
}

/** Checks a ztunnel's answer to `/config_dump`. Throws a user error for anything else. */
export function parseZtunnelDump(raw: unknown, where: string): ZtunnelDump {
  if (!isTree(raw) || !Object.keys(ztunnelFields).some((field) => Object.hasOwn(raw, field)))
    throw userError(
      "dump-invalid",
      `${where} is not a dump of a ztunnel's configuration: it has none of ${Object.keys(ztunnelFields).join(", ")}`,
      {
        hint:
          isTree(raw) && Array.isArray(raw["configs"])
            ? "proxy-config shows the dump of a proxy"
            : "curl localhost:15000/config_dump",
      },
    );
  return withFieldTypes(raw, ztunnelFields).value;
}

/** A part of a dump as a table, and as it is for `-o json`. */
export interface DumpSection {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly raw: unknown;
}

export interface DumpFilter {
  readonly namespace?: string;
  /** Only workloads with this address are shown, and only those on this node. */
  readonly address?: string;
  readonly node?: string;
  /** Only this pod is shown, or only its connections. */
  readonly pod?: { readonly name: string; readonly namespace: string };
  readonly direction?: "inbound" | "outbound";
  /** Whether to show addresses of connections in place of names. */
  readonly raw?: boolean;
  readonly nowMs: number;
}

const none = "None";
const notAvailable = "NA";

function listOf<Value>(values: Dumped<Value> | undefined): readonly Value[] {
  return Array.isArray(values) ? (values as readonly Value[]) : Object.values(values ?? {});
}

export function workloadSection(
  { workloads, services }: ZtunnelDump,
  { namespace, address, node, pod }: DumpFilter,
): DumpSection {
  const raw = inNamespace(listOf(workloads), namespace).filter(
    (workload) =>
      isOfPod(workload, pod) &&
      (address === undefined || workload.workloadIps?.includes(address) === true) &&
      (node === undefined || workload.node === node),
  );
  const rows = raw.map((workload) => [
    workload.namespace,
    workload.name,
    workload.workloadIps === undefined || workload.workloadIps.length === 0
      ? orNone(workload.hostname)
      : workload.workloadIps.join(","),
    orNone(workload.node),
    gatewayName(workload.waypoint, listOf(services)),
    workload.protocol,
  ]);
  return { header: ["NAMESPACE", "POD NAME", "ADDRESS", "NODE", "WAYPOINT", "PROTOCOL"], rows: sorted(rows), raw };
}

/** The table of services. `healthy/all` counts the endpoints of each. */
export function serviceSection({ services, workloads }: ZtunnelDump, { namespace }: DumpFilter): DumpSection {
  const all = listOf(services);
  const raw = inNamespace(all, namespace);
  const states = new Map(listOf(workloads).map(({ uid = "", status }) => [uid, status]));
  const rows = raw.map((service) => [
    service.namespace,
    service.name,
    service.vips.map(addressOf).join(","),
    gatewayName(service.waypoint, all),
    endpointCount(service, states),
  ]);
  return { header: ["NAMESPACE", "SERVICE NAME", "SERVICE VIP", "WAYPOINT", "ENDPOINTS"], rows: sorted(rows), raw };
}

export function policySection({ policies = [] }: ZtunnelDump, { namespace }: DumpFilter): DumpSection {
  const raw = inNamespace(policies, namespace);
  const rows = raw.map((policy) => [policy.namespace, policy.name, policy.action, policy.scope]);
  return { header: ["NAMESPACE", "POLICY NAME", "ACTION", "SCOPE"], rows: sorted(rows), raw };
}

/** A row for each certificate of each identity. */
export function certificateSection({ certificates = [] }: ZtunnelDump, { namespace, nowMs }: DumpFilter): DumpSection {
  const raw = certificates.filter(({ identity }) => namespace === undefined || identity.includes(`/ns/${namespace}/`));
  const rows = raw.flatMap(({ identity, state, certChain = [], rootCerts = [] }) => {
    // Leave out the reason, which may be long. The ztunnel's log has it.
    const shown = state.startsWith("Unavailable") ? "Unavailable" : state;
    if (certChain.length === 0)
      return [[identity, notAvailable, shown, "false", notAvailable, notAvailable, notAvailable]];
    // Older releases list the root at the end of the chain.
    const isRoot = (index: number): boolean => rootCerts.length === 0 && index > 0 && index === certChain.length - 1;
    const chain = certChain.map((certificate, index) => ({
      certificate,
      type: index === 0 ? "Leaf" : isRoot(index) ? "Root" : "Intermediate",
    }));
    return [...chain, ...rootCerts.map((certificate) => ({ certificate, type: "Root" }))].map(
      ({ certificate, type }) => [
        identity,
        type,
        shown,
        String(isValid(certificate, nowMs)),
        serialOf(certificate),
        certificate.expirationTime,
        certificate.validFrom,
      ],
    );
  });
  return {
    header: ["CERTIFICATE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"],
    rows,
    raw,
  };
}

export function connectionSection(
  dump: ZtunnelDump,
  { namespace, pod, direction, raw = false }: DumpFilter,
): DumpSection {
  const pods = Object.entries(dump.workloadState ?? {})
    .filter(([, { info }]) => (namespace === undefined || info?.namespace === namespace) && isOfPod(info, pod))
    .toSorted(([, a], [, b]) => (sortKey(a) < sortKey(b) ? -1 : 1));
  const names = raw ? new Map<string, string>() : namesOf(dump);
  const shown = (address: string): string => named(address, names);
  const rows = pods.flatMap(([uid, { info, connections: { inbound = [], outbound = [] } = {} }]) => {
    const name = info === undefined ? uid : `${info.name}.${info.namespace}`;
    return [
      ...(direction === "outbound" ? [] : inbound).map((connection) => [
        name,
        "Inbound",
        shown(connection.actualDst),
        shown(connection.src),
        connection.originalDst ?? "",
        connection.protocol,
      ]),
      ...(direction === "inbound" ? [] : outbound).map((connection) => [
        name,
        "Outbound",
        shown(connection.src),
        shown(connection.actualDst),
        shown(connection.originalDst ?? ""),
        connection.protocol,
      ]),
    ];
  });
  return {
    header: ["WORKLOAD", "DIRECTION", "LOCAL", "REMOTE", "REMOTE TARGET", "PROTOCOL"],
    rows: sorted(rows),
    raw: pods.map(([, state]) => state),
  };
}

function sortKey({ info }: DumpedPod): string {
  return `${info?.namespace ?? ""}\0${info?.name ?? ""}`;
}

function isOfPod(entry: DumpedPod["info"], pod: DumpFilter["pod"]): boolean {
  return pod === undefined || (entry?.name === pod.name && entry.namespace === pod.namespace);
}

/** Names by address. A service's name wins over a workload's. */
function namesOf({ services, workloads }: ZtunnelDump): ReadonlyMap<string, string> {
  return new Map([
    ...listOf(workloads).flatMap(({ workloadIps = [], name, namespace }) =>
      workloadIps.map((address) => [address, `${name}.${namespace}`] as const),
    ),
    ...listOf(services).flatMap(({ vips, hostname }) => vips.map((vip) => [addressOf(vip), hostname] as const)),
  ]);
}

/** `name:port`, or `address:port` if the address has no name. */
function named(address: string, names: ReadonlyMap<string, string>): string {
  const colon = address.lastIndexOf(":");
  const name = names.get(address.slice(0, colon).replace(/^\[|\]$/g, ""));
  return name === undefined ? address : `${name}${address.slice(colon)}`;
}

function inNamespace<Value extends { readonly namespace: string }>(
  values: readonly Value[],
  namespace: string | undefined,
): readonly Value[] {
  return namespace === undefined ? values : values.filter((value) => value.namespace === namespace);
}

function sorted(rows: readonly string[][]): string[][] {
  return rows.toSorted((a, b) => (a.join("\0") < b.join("\0") ? -1 : 1));
}

/** Counts the healthy endpoints, as `healthy/all`. An endpoint without a state has that of its workload. */
function endpointCount({ endpoints = {} }: DumpedService, states: ReadonlyMap<string, string | undefined>): string {
  const all = Object.entries(endpoints);
  const healthy = all.filter(
    ([uid, { status, workloadUid = uid }]) => (status ?? states.get(workloadUid)) !== "Unhealthy",
  );
  return `${healthy.length}/${all.length}`;
}

/** The name of the gateway's service. If the service is unknown, the first label of the hostname, or the address. */
function gatewayName(gateway: DumpedGateway | undefined, services: readonly DumpedService[]): string {
  if (gateway === undefined) return none;
  const { destination } = gateway;
  const key = typeof destination === "string" ? destination : `${destination.namespace}/${destination.hostname}`;
  const service = services.find(
    ({ namespace, hostname, vips }) => key === `${namespace}/${hostname}` || vips.includes(key),
  );
  if (service !== undefined) return service.name;
  return typeof destination === "string" ? addressOf(destination) : (destination.hostname.split(".")[0] ?? none);
}

/** The serial number in hexadecimal, as other tools show it. Ztunnels write it in decimal. */
function serialOf({ serialNumber }: DumpedCertificate): string {
  return /^\d+$/.test(serialNumber) ? BigInt(serialNumber).toString(16) : serialNumber;
}

function addressOf(vip: string): string {
  return vip.slice(vip.indexOf("/") + 1);
}

function orNone(text: string | undefined): string {
  return text === undefined || text === "" ? none : text;
}

function isValid({ validFrom, expirationTime }: DumpedCertificate, nowMs: number): boolean {
  return Date.parse(validFrom) <= nowMs && nowMs < Date.parse(expirationTime);
}
