import { isIP } from "node:net";
import { serviceNameLabel } from "../../api/index.ts";
import type { EndpointSlice, Service } from "../../api/kubernetes/index.ts";

/** The source of the cluster's names and addresses. Each look-up must be cheap. */
export interface ZoneSource {
  hasNamespace(name: string): boolean;
  service(namespace: string, name: string): Service | undefined;
  slicesOf(namespace: string, name: string): readonly EndpointSlice[];
  serviceByClusterIP(address: string): Service | undefined;
  slicesByAddress(address: string): readonly EndpointSlice[];
}

export type DnsRecord =
  | { readonly type: "A" | "AAAA" | "CNAME" | "PTR" | "TXT"; readonly name: string; readonly data: string }
  | { readonly type: "SRV"; readonly name: string; readonly port: number; readonly target: string };

export interface ZoneAnswer {
  /** `absent`: the name does not exist. `unknown`: the name is outside the zone. */
  readonly outcome: "found" | "absent" | "unknown";
  readonly answers: readonly DnsRecord[];
  /** The address records of SRV targets. */
  readonly additionals: readonly DnsRecord[];
}

const none = { answers: [], additionals: [] } as const;
/** An answer for a name that exists. `answers` is empty if the name has no record of the requested type. */
const found = (answers: readonly DnsRecord[] = [], additionals: readonly DnsRecord[] = []): ZoneAnswer => ({
  outcome: "found",
  answers,
  additionals,
});
const absent: ZoneAnswer = { outcome: "absent", ...none };
const unknown: ZoneAnswer = { outcome: "unknown", ...none };

/**
 * The maximum number of records in an answer. More would not fit into a message, because a record takes at least 37
 * bytes: 23 for the name of a Service and 14 for the rest. Without this limit, the time for a query would grow with the
 * Service's endpoints, and anybody who may write EndpointSlices can create tens of thousands of them.
 */
export const maxRecords = { udp: 100, tcp: 2_000 };

/**
 * Answers a question by Kubernetes' DNS specification (1.1.0), with at most `most` records in each section. `name` is
 * in lower case without a final dot.
 */
export function answerZone(
  source: ZoneSource,
  domain: string,
  name: string,
  type: string,
  most = maxRecords.tcp,
): ZoneAnswer {
  if (name.endsWith(".in-addr.arpa") || name.endsWith(".ip6.arpa"))
    return answerReverse(source, domain, name, type, most);
  if (name === domain) return found();
  if (!name.endsWith(`.${domain}`)) return unknown;
  const labels = name.slice(0, -domain.length - 1).split(".");
  const kind = labels.at(-1);
  const namespace = labels.at(-2);
  if (labels.length === 1 && kind === "dns-version")
    return found(type === "TXT" ? [{ type: "TXT", name, data: "1.1.0" }] : []);
  if (kind !== "svc" && kind !== "pod") return absent;
  if (namespace === undefined) return found();
  if (!source.hasNamespace(namespace)) return absent;
  const rest = labels.slice(0, -2);
  if (rest.length === 0) return found();
  return kind === "pod"
    ? answerPod(name, rest, type)
    : answerService(source, { domain, namespace, name, rest, type, most });
}

interface ServiceQuestion {
  readonly domain: string;
  readonly namespace: string;
  readonly name: string;
  /**
   * The labels of the requested name before {@link name}, such as an endpoint's hostname, or the port and protocol of
   * an SRV query.
   */
  readonly rest: readonly string[];
  readonly type: string;
  readonly most: number;
}

function answerService(source: ZoneSource, question: ServiceQuestion): ZoneAnswer {
  const { domain, namespace, name, rest, type, most } = question;
  const serviceName = rest.at(-1) ?? "";
  const service = source.service(namespace, serviceName);
  if (service === undefined) return absent;
  const host = `${serviceName}.${namespace}.svc.${domain}`;
  if (service.spec?.type === "ExternalName") {
    return rest.length === 1
      ? found([{ type: "CNAME", name, data: (service.spec.externalName ?? "").replace(/\.$/, "") }])
      : absent;
  }
  const slices = source.slicesOf(namespace, serviceName);
  if (rest.length === 2) {
    const own = slices.flatMap((slice) => targetsOf(slice).byLabel.get(rest[0] ?? "") ?? []).slice(0, most);
    return own.length === 0 ? absent : found(addressRecords(name, own, type));
  }
  // Among the other names, only those of headless Services depend on endpoints.
  const targets = isHeadless(service) ? firstTargets(slices, type, most) : [];
  if (rest.length === 1) {
    // A headless Service without ready endpoints has no name.
    if (isHeadless(service) && targets.length === 0 && firstTargets(slices, "ANY", 1).length === 0) return absent;
    if (type === "SRV") return answerPorts(service, { name, type, host, targets, most });
    const addresses = isHeadless(service) ? targets : clusterIPs(service).map((address) => ({ address }));
    return found(addressRecords(name, addresses, type));
  }
  const [port = "", protocol = ""] = rest;
  if (rest.length !== 3 || !port.startsWith("_") || !protocol.startsWith("_")) return absent;
  const wanted = { name: port.slice(1), protocol: protocol.slice(1) };
  return answerPorts(service, { name, type, host, targets, most, port: wanted });
}

interface PortQuestion {
  readonly name: string;
  readonly type: string;
  readonly host: string;
  readonly targets: readonly EndpointTarget[];
  readonly most: number;
  /** The requested port. A question without it is for all ports. */
  readonly port?: { readonly name: string; readonly protocol: string };
}

function answerPorts(service: Service, question: PortQuestion): ZoneAnswer {
  const { name, type, host, port, most } = question;
  if (isHeadless(service)) {
    const matching = portsOfTargets(question);
    if (matching.length === 0) return absent;
    if (type !== "SRV") return found();
    const hostOf = ({ label }: EndpointTarget): string => `${label}.${host}`;
    const hosts = [...new Set(matching.map(({ target }) => target))];
    return found(
      matching.map(({ target, number }) => ({ type: "SRV", name, port: number, target: hostOf(target) })),
      hosts.map((target) => addressRecord(hostOf(target), target.address)),
    );
  }
  const own = (service.spec?.ports ?? []).filter(
    ({ name = "", protocol = "TCP" }) =>
      port === undefined || (port.name === name && port.protocol === protocol.toLowerCase()),
  );
  if (own.length === 0) return absent;
  if (type !== "SRV") return found();
  return found(
    own.slice(0, most).map(({ port: number }) => ({ type: "SRV", name, port: number, target: host })),
    clusterIPs(service).map((address) => addressRecord(host, address)),
  );
}

/** The requested ports of the first endpoints. */
function portsOfTargets({
  targets,
  port,
  most,
}: PortQuestion): { readonly target: EndpointTarget; readonly number: number }[] {
  const matching: { readonly target: EndpointTarget; readonly number: number }[] = [];
  for (const target of targets) {
    const { all, byName } = target.ports;
    for (const { number } of port === undefined ? all : (byName.get(`${port.name}/${port.protocol}`) ?? [])) {
      if (matching.length >= most) return matching;
      matching.push({ target, number });
    }
  }
  return matching;
}

interface TargetPort {
  readonly name: string;
  readonly protocol: string;
  readonly number: number;
}

interface EndpointTarget {
  /** The endpoint's hostname, or its address with dashes. */
  readonly label: string;
  readonly address: string;
  readonly ports: SlicePorts;
}

interface SlicePorts {
  readonly all: readonly TargetPort[];
  /** The ports by `name/protocol`. */
  readonly byName: ReadonlyMap<string, readonly TargetPort[]>;
}

interface SliceTargets {
  readonly all: readonly EndpointTarget[];
  readonly byType: Readonly<Partial<Record<"A" | "AAAA", readonly EndpointTarget[]>>>;
  readonly byLabel: ReadonlyMap<string, readonly EndpointTarget[]>;
  readonly byAddress: ReadonlyMap<string, EndpointTarget>;
}

/** Caches the ready endpoints of slices. An entry is never stale, because a changed slice is a new object. */
const knownTargets = new WeakMap<EndpointSlice, SliceTargets>();

function targetsOf(slice: EndpointSlice): SliceTargets {
  let known = knownTargets.get(slice);
  if (known === undefined) knownTargets.set(slice, (known = readTargets(slice)));
  return known;
}

function readTargets(slice: EndpointSlice): SliceTargets {
  const portsOfSlice = (slice.ports ?? []).map(({ name = "", protocol = "TCP", port = 0 }) => ({
    name,
    protocol: protocol.toLowerCase(),
    number: port,
  }));
  const byName = Map.groupBy(portsOfSlice, ({ name, protocol }) => `${name}/${protocol}`);
  const ports: SlicePorts = { all: portsOfSlice, byName };
  const all = (slice.endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses, hostname }) =>
      addresses
        .filter((address) => isIP(address) !== 0)
        .map((address) => ({ label: hostname ?? dashed(address), address, ports })),
    );
  const byAddress = new Map(all.toReversed().map((target) => [target.address, target]));
  const byType = Object.groupBy(all, ({ address }) => typeOf(address));
  return { all, byType, byLabel: Map.groupBy(all, ({ label }) => label), byAddress };
}

/** The first ready endpoints whose addresses may be in the answer. */
function firstTargets(slices: readonly EndpointSlice[], type: string, most: number): EndpointTarget[] {
  const targets: EndpointTarget[] = [];
  for (const slice of slices) {
    if (targets.length >= most) break;
    const { all, byType } = targetsOf(slice);
    const possible = type === "A" || type === "AAAA" ? (byType[type] ?? []) : all;
    targets.push(...possible.slice(0, most - targets.length));
  }
  return targets;
}

function answerPod(name: string, rest: readonly string[], type: string): ZoneAnswer {
  const [label = ""] = rest;
  if (rest.length !== 1) return absent;
  const address = [".", ":"].map((mark) => label.replaceAll("-", mark)).find((text) => isIP(text) !== 0);
  return address === undefined ? absent : found(addressRecords(name, [{ address }], type));
}

function answerReverse(source: ZoneSource, domain: string, name: string, type: string, most: number): ZoneAnswer {
  const address = addressOfReverse(name);
  if (address === undefined) return unknown;
  const service = source.serviceByClusterIP(address);
  const names: string[] = [];
  if (service !== undefined)
    names.push(`${service.metadata.name ?? ""}.${service.metadata.namespace ?? ""}.svc.${domain}`);
  else {
    for (const slice of source.slicesByAddress(address)) {
      const serviceName = slice.metadata.labels?.[serviceNameLabel] ?? "";
      const target = targetsOf(slice).byAddress.get(address);
      if (target === undefined) continue;
      names.push(`${target.label}.${serviceName}.${slice.metadata.namespace ?? ""}.svc.${domain}`);
      if (names.length >= most) break;
    }
  }
  if (names.length === 0) return unknown;
  return found(type === "PTR" ? names.map((data) => ({ type: "PTR", name, data })) : []);
}

function addressOfReverse(name: string): string | undefined {
  const v4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/.exec(name);
  if (v4 !== null) return v4.slice(1, 5).reverse().join(".");
  const nibbles = name.slice(0, -".ip6.arpa".length).split(".").reverse().join("");
  if (!/^[0-9a-f]{32}$/.test(nibbles)) return undefined;
  const groups = (nibbles.match(/.{4}/g) ?? []).map((group) => group.replace(/^0{1,3}/, ""));
  // As in the Kubernetes API, `::` replaces the longest run of zeros.
  const text = groups.join(":");
  const zeros = [...text.matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].sort((a, b) => b[0].length - a[0].length)[0];
  return zeros === undefined ? text : `${text.slice(0, zeros.index)}::${text.slice(zeros.index + zeros[0].length + 1)}`;
}

function isHeadless(service: Service): boolean {
  return service.spec?.clusterIP === "None";
}

function clusterIPs(service: Service): string[] {
  const all = service.spec?.clusterIPs ?? [];
  return all.length > 0
    ? all
    : service.spec?.clusterIP === undefined || service.spec.clusterIP === ""
      ? []
      : [service.spec.clusterIP];
}

function addressRecords(name: string, places: readonly { readonly address: string }[], type: string): DnsRecord[] {
  return places
    .map(({ address }) => addressRecord(name, address))
    .filter((record) => record.type === type || type === "ANY");
}

function addressRecord(name: string, address: string): DnsRecord {
  return { type: typeOf(address), name, data: address };
}

function typeOf(address: string): "A" | "AAAA" {
  return address.includes(":") ? "AAAA" : "A";
}

function dashed(address: string): string {
  return address.replaceAll(/[.:]/g, "-");
}
