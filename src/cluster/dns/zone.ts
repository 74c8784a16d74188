import { isIP } from "node:net";
import type { EndpointSlice, Service } from "../../api/kubernetes/index.ts";

/** The data behind a cluster's names. Each look-up must be cheap. */
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
  /** The addresses of SRV targets. */
  readonly additionals: readonly DnsRecord[];
}

const none = { answers: [], additionals: [] } as const;
/** An answer for an existing name, which may have no record of the requested type. */
const found = (answers: readonly DnsRecord[] = [], additionals: readonly DnsRecord[] = []): ZoneAnswer => ({
  outcome: "found",
  answers,
  additionals,
});
const absent: ZoneAnswer = { outcome: "absent", ...none };
const unknown: ZoneAnswer = { outcome: "unknown", ...none };

/** Answers a question by Kubernetes' DNS specification (1.1.0). `name` is in lower case without a final dot. */
export function answerZone(source: ZoneSource, domain: string, name: string, type: string): ZoneAnswer {
  if (name.endsWith(".in-addr.arpa") || name.endsWith(".ip6.arpa")) return answerReverse(source, domain, name, type);
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
  return kind === "pod" ? answerPod(name, rest, type) : answerService(source, { domain, namespace, name, rest, type });
}

interface ServiceQuestion {
  readonly domain: string;
  readonly namespace: string;
  readonly name: string;
  /** The labels before the namespace. */
  readonly rest: readonly string[];
  readonly type: string;
}

function answerService(source: ZoneSource, question: ServiceQuestion): ZoneAnswer {
  const { domain, namespace, name, rest, type } = question;
  const serviceName = rest.at(-1) ?? "";
  const service = source.service(namespace, serviceName);
  if (service === undefined) return absent;
  const host = `${serviceName}.${namespace}.svc.${domain}`;
  if (service.spec?.type === "ExternalName") {
    return rest.length === 1
      ? found([{ type: "CNAME", name, data: (service.spec.externalName ?? "").replace(/\.$/, "") }])
      : absent;
  }
  // Only the names of endpoints and of headless Services need endpoints.
  const needsTargets = rest.length === 2 || isHeadless(service);
  const targets = needsTargets ? endpointTargets(source, namespace, serviceName, host) : [];
  if (rest.length === 1) {
    // A headless Service without ready endpoints has no name.
    if (isHeadless(service) && targets.length === 0) return absent;
    if (type === "SRV") return answerPorts(service, { name, type, host, targets });
    const addresses = isHeadless(service) ? targets.map(({ address }) => address) : clusterIPs(service);
    return found(addressRecords(name, addresses, type));
  }
  if (rest.length === 2) {
    const own = targets.filter((target) => target.host === name);
    if (own.length > 0)
      return found(
        addressRecords(
          name,
          own.map(({ address }) => address),
          type,
        ),
      );
    return absent;
  }
  const [port = "", protocol = ""] = rest;
  if (rest.length !== 3 || !port.startsWith("_") || !protocol.startsWith("_")) return absent;
  const wanted = { name: port.slice(1), protocol: protocol.slice(1) };
  return answerPorts(service, { name, type, host, targets, port: wanted });
}

interface PortQuestion {
  readonly name: string;
  readonly type: string;
  readonly host: string;
  readonly targets: readonly EndpointTarget[];
  /** Absent if the question names no port and so asks for all. */
  readonly port?: { readonly name: string; readonly protocol: string };
}

function answerPorts(service: Service, { name, type, host, targets, port }: PortQuestion): ZoneAnswer {
  const isWanted = (item: TargetPort): boolean =>
    port === undefined || (item.name === port.name && item.protocol === port.protocol);
  if (isHeadless(service)) {
    const matching = targets.flatMap((target) =>
      target.ports.filter(isWanted).map(({ number }) => ({ target, number })),
    );
    if (matching.length === 0) return absent;
    if (type !== "SRV") return found();
    const hosts = [...new Set(matching.map(({ target }) => target))];
    return found(
      matching.map(({ target, number }) => ({ type: "SRV", name, port: number, target: target.host })),
      hosts.map((target) => addressRecord(target.host, target.address)),
    );
  }
  const own = (service.spec?.ports ?? []).filter(({ name = "", protocol = "TCP", port: number }) =>
    isWanted({ name, protocol: protocol.toLowerCase(), number }),
  );
  if (own.length === 0) return absent;
  if (type !== "SRV") return found();
  return found(
    own.map(({ port: number }) => ({ type: "SRV", name, port: number, target: host })),
    clusterIPs(service).map((address) => addressRecord(host, address)),
  );
}

interface TargetPort {
  readonly name: string;
  readonly protocol: string;
  readonly number: number;
}

interface EndpointTarget {
  readonly host: string;
  readonly address: string;
  readonly ports: readonly TargetPort[];
}

/** A Service's ready endpoints, each under its hostname, or without one under its address with dashes. */
function endpointTargets(source: ZoneSource, namespace: string, service: string, host: string): EndpointTarget[] {
  const targets: EndpointTarget[] = [];
  for (const slice of source.slicesOf(namespace, service)) {
    const ports = (slice.ports ?? []).map(({ name = "", protocol = "TCP", port = 0 }) => ({
      name,
      protocol: protocol.toLowerCase(),
      number: port,
    }));
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.conditions?.ready === false) continue;
      for (const address of endpoint.addresses)
        targets.push({ host: `${endpoint.hostname ?? dashed(address)}.${host}`, address, ports });
    }
  }
  return targets;
}

function answerPod(name: string, rest: readonly string[], type: string): ZoneAnswer {
  const [label = ""] = rest;
  if (rest.length !== 1) return absent;
  const address = [".", ":"].map((mark) => label.replaceAll("-", mark)).find((text) => isIP(text) !== 0);
  return address === undefined ? absent : found(addressRecords(name, [address], type));
}

function answerReverse(source: ZoneSource, domain: string, name: string, type: string): ZoneAnswer {
  const address = addressOfReverse(name);
  if (address === undefined) return unknown;
  const service = source.serviceByClusterIP(address);
  const names: string[] = [];
  if (service !== undefined)
    names.push(`${service.metadata.name ?? ""}.${service.metadata.namespace ?? ""}.svc.${domain}`);
  else {
    for (const slice of source.slicesByAddress(address)) {
      const serviceName = slice.metadata.labels?.["kubernetes.io/service-name"] ?? "";
      const endpoint = slice.endpoints?.find(({ addresses }) => addresses.includes(address));
      if (endpoint?.conditions?.ready === false) continue;
      names.push(
        `${endpoint?.hostname ?? dashed(address)}.${serviceName}.${slice.metadata.namespace ?? ""}.svc.${domain}`,
      );
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
  // As in the Kubernetes API, write the longest run of zeros as `::`.
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

function addressRecords(name: string, addresses: readonly string[], type: string): DnsRecord[] {
  return addresses
    .map((address) => addressRecord(name, address))
    .filter((record) => record.type === type || type === "ANY");
}

function addressRecord(name: string, address: string): DnsRecord {
  return { type: address.includes(":") ? "AAAA" : "A", name, data: address };
}

function dashed(address: string): string {
  return address.replaceAll(/[.:]/g, "-");
}
