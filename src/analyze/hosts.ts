import { serviceKind } from "../api/kubernetes/index.ts";
import { hostCovers, isWildcard, serviceEntryKind, type ServiceEntry } from "../api/istio/index.ts";
import type { Entry, Inventory } from "./inventory.ts";

/** A host that a route may name: a Service's full name, or a host of a ServiceEntry, which may be a wildcard. */
export interface KnownHost {
  readonly host: string;
  readonly namespace: string;
  readonly ports: readonly number[];
  /** Empty if the host does not select pods. */
  readonly selector: Readonly<Record<string, string>>;
  readonly kind: "Service" | "ServiceEntry";
  readonly isExternalName: boolean;
  readonly isVisibleIn: (namespace: string) => boolean;
}

const clusterDomain = "svc.cluster.local";
const exportToAnnotation = "networking.istio.io/exportTo";

/** The full name of a host in an object of the namespace. A host with a dot, and a wildcard, stay as they are. */
export function fullHost(host: string, namespace: string): string {
  return host.includes(".") || isWildcard(host) ? host : `${host}.${namespace}.${clusterDomain}`;
}

const hostsOf = new WeakMap<Inventory, readonly KnownHost[]>();

export function knownHosts(inventory: Inventory): readonly KnownHost[] {
  const known = hostsOf.get(inventory);
  if (known !== undefined) return known;
  const hosts = [...services(inventory), ...inventory.of(serviceEntryKind).flatMap(hostsOfEntry)];
  hostsOf.set(inventory, hosts);
  return hosts;
}

/** The host that an object in the namespace means. Undefined if the namespace sees none. */
export function findHost(inventory: Inventory, host: string, namespace: string): KnownHost | undefined {
  const wanted = fullHost(host, namespace);
  const visible = knownHosts(inventory).filter((known) => known.isVisibleIn(namespace));
  return visible.find((known) => known.host === wanted) ?? visible.find((known) => hostCovers(known.host, wanted));
}

/** The Services with the host's name in all namespaces, which a message offers after "did you mean". */
export function namesakes(inventory: Inventory, host: string): readonly string[] {
  const name = host.split(".")[0] ?? host;
  return knownHosts(inventory).flatMap((known) =>
    known.kind === "Service" && known.host.split(".")[0] === name ? [known.host] : [],
  );
}

/** Whether all hosts are known. Only then is an unknown host certainly missing. */
export function knowsAllHosts(inventory: Inventory): boolean {
  return inventory.options.scope === "cluster"
    ? inventory.knowsAll(serviceKind, serviceEntryKind)
    : inventory.knowsAll(serviceKind);
}

function services(inventory: Inventory): KnownHost[] {
  return inventory.of(serviceKind).map(({ object: { metadata, spec = {} } }) => ({
    host: fullHost(metadata.name ?? "", metadata.namespace ?? ""),
    namespace: metadata.namespace ?? "",
    ports: (spec.ports ?? []).map(({ port }) => port),
    selector: spec.selector ?? {},
    kind: "Service",
    isExternalName: spec.type === "ExternalName",
    isVisibleIn: visibility(
      (metadata.annotations?.[exportToAnnotation] ?? "")
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== ""),
      metadata.namespace ?? "",
    ),
  }));
}

function hostsOfEntry({ object: { metadata, spec } }: Entry<ServiceEntry>): KnownHost[] {
  return spec.hosts.map((host) => ({
    host: fullHost(host, metadata.namespace ?? ""),
    namespace: metadata.namespace ?? "",
    ports: spec.ports.map(({ number }) => number),
    selector: spec.workloadSelector?.labels ?? {},
    kind: "ServiceEntry",
    isExternalName: false,
    isVisibleIn: visibility(spec.exportTo, metadata.namespace ?? ""),
  }));
}

/** Returns a function that tells whether a namespace is in `exportTo`. An empty list and `*` mean all. */
export function visibility(exportTo: readonly string[], own: string): (namespace: string) => boolean {
  return (namespace) =>
    exportTo.length === 0 ||
    exportTo.some((entry) => entry === "*" || entry === namespace || (entry === "." && namespace === own));
}
